package dispatch

import (
	"context"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/wire"
)

// waits are the requests for work that are held open, and the offers that answer them.
type waits struct{ changes }

// Waiter is a request for work that is held open. It is answered exactly once: with work,
// with nothing at its end, or with nothing because it should be asked again.
type Waiter struct {
	Client   webjob.Client
	Free     int                        // runs that may begin
	Known    map[string]webjob.RunState // runs that the agent holds
	Standing webjob.Digest              // of the orders whose time it keeps
	Answer   func(Work)                 // called once, on a goroutine of its own
	Drop     func()                     // ends the connection instead

	end      *time.Timer
	soon     *time.Timer // when looking again may help; nil for no such time
	queued   bool
	offering bool // offers for it are being stored
	now      bool // to be answered at once, with or without work
}

// Work is what a request for work brings.
type Work struct {
	Offers   []wire.Offer
	Cancel   []string
	Change   bool // Standing is not what the agent has
	Standing [][]byte
}

// Empty reports whether there is nothing to do.
func (w Work) Empty() bool { return len(w.Offers) == 0 && len(w.Cancel) == 0 && !w.Change }

// Waits end together, a few times a second: waking up once for many costs less than once
// for each.
const waitTick = 250 * time.Millisecond

// onTick shortens a long wait so that it ends on a tick.
func onTick(wait time.Duration, at time.Time) time.Duration {
	if wait < 8*waitTick {
		return wait
	}
	return wait - time.Duration(at.Add(wait).UnixNano())%waitTick
}

// Wait holds a request open until there is work for its client, for at most the wait.
// What it says of runs is taken over first. It does not wait itself.
func (d waits) Wait(ctx context.Context, w *Waiter, wait time.Duration) error {
	d.mu.Lock()
	a := d.agent(w.Client.ID)
	d.answer(a, Work{}) // another request of this client returns
	a = d.agent(w.Client.ID)
	a.waiting, a.lastPoll = w, time.Now()
	said := a.hear(w.Known, a.lastPoll)
	w.now = wait <= 0 || d.closed
	w.offering = true // until what it says is stored
	d.mu.Unlock()
	if err := d.storeWord(ctx, said); err != nil {
		d.Leave(w)
		return err
	}
	d.mu.Lock()
	w.offering = false
	batch := d.serve(w, nil)
	if a := d.agents[w.Client.ID]; a != nil && a.waiting == w {
		w.end = time.AfterFunc(onTick(wait, time.Now()), func() { d.endWait(w) })
	}
	d.mu.Unlock()
	d.storeOffers(ctx, batch)
	return nil
}

// serve looks whether there is work for a request; mu is held. What is to be offered is
// added to the batch; without any it is answered when there is something else, or when
// it is not to wait.
func (d waits) serve(w *Waiter, batch []*offering) []*offering {
	a := d.agents[w.Client.ID]
	if a == nil || a.waiting != w || w.offering {
		return batch // answered already, or looked at when the offers are stored
	}
	found := Work{Cancel: a.hear(w.Known, time.Now()).cancel}
	if d.keeping > 0 || w.Standing != "" && w.Standing != webjob.EmptyDigest {
		found.Standing = d.standingFor(w.Client)
		have := w.Standing
		if have == "" {
			have = webjob.EmptyDigest
		}
		found.Change = wire.StandingDigest(found.Standing) != have
	}
	picked, again := a.pick(w.Free, w.Known, time.Now())
	if len(picked) > 0 {
		w.offering = true
		return append(batch, &offering{waiter: w, work: found, offers: picked})
	}
	if !found.Empty() || w.now {
		d.answer(a, found)
		return batch
	}
	d.lookAgain(w, again)
	return batch
}

// lookAgain has a request looked at at a time, zero for none; mu is held.
func (d waits) lookAgain(w *Waiter, at time.Time) {
	if w.soon != nil {
		w.soon.Stop()
		w.soon = nil
	}
	if at.IsZero() {
		return
	}
	w.soon = time.AfterFunc(max(time.Until(at), time.Millisecond), func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if a := d.agents[w.Client.ID]; a != nil && a.waiting == w {
			d.notify(a)
		}
	})
}

// endWait answers a request whose time is over.
func (d waits) endWait(w *Waiter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a := d.agents[w.Client.ID]; a != nil && a.waiting == w {
		w.now = true
		d.notify(a)
	}
}

// Leave takes a request back that nobody waits for any more: its client has left. It
// reports whether the request still waited.
func (d waits) Leave(w *Waiter) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.agents[w.Client.ID]
	if a == nil || a.waiting != w {
		return false
	}
	a.take()
	d.forget(w.Client.ID)
	return true
}

// Restart answers the request of a client, or of every client when it is empty, so that
// it is asked again what holds for it.
func (d waits) Restart(client string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, a := range d.agents {
		if client == "" || client == id {
			d.answer(a, Work{})
		}
	}
}

// Cut ends the request of a client without an answer.
func (d waits) Cut(client string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a := d.agents[client]; a != nil {
		if w := a.take(); w != nil {
			go w.Drop() // it writes to the network
		}
		d.forget(client)
	}
}

// Close answers every request, and those that come later at once.
func (d waits) Close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.Restart("")
}
