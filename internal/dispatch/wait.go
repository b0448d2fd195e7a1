package dispatch

import (
	"context"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/wire"
)

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
func (d *Dispatcher) Wait(ctx context.Context, w *Waiter, wait time.Duration) error {
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
func (d *Dispatcher) serve(w *Waiter, batch []*offering) []*offering {
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
func (d *Dispatcher) lookAgain(w *Waiter, at time.Time) {
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

// answer takes a client's request away and answers it; mu is held.
func (d *Dispatcher) answer(a *agent, found Work) {
	if w := a.take(); w != nil {
		d.forget(w.Client.ID)
		go w.Answer(found) // it writes to the network
	}
}

// take returns the request that waits, which then waits no more.
func (a *agent) take() *Waiter {
	w := a.waiting
	a.waiting = nil
	if w == nil {
		return nil
	}
	a.lastPoll = time.Now()
	for _, timer := range []*time.Timer{w.end, w.soon} {
		if timer != nil {
			timer.Stop()
		}
	}
	return w
}

// endWait answers a request whose time is over.
func (d *Dispatcher) endWait(w *Waiter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a := d.agents[w.Client.ID]; a != nil && a.waiting == w {
		w.now = true
		d.notify(a)
	}
}

// Leave takes a request back that nobody waits for any more: its client has left. It
// reports whether the request still waited.
func (d *Dispatcher) Leave(w *Waiter) bool {
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

// forget drops a client that neither waits nor has anything to do; mu is held.
func (d *Dispatcher) forget(client string) {
	if a := d.agents[client]; a != nil && a.waiting == nil && len(a.runs) == 0 {
		delete(d.agents, client)
	}
}

// Restart answers the request of a client, or of every client when it is empty, so that
// it is asked again what holds for it.
func (d *Dispatcher) Restart(client string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, a := range d.agents {
		if client == "" || client == id {
			d.answer(a, Work{})
		}
	}
}

// Cut ends the request of a client without an answer.
func (d *Dispatcher) Cut(client string) {
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
func (d *Dispatcher) Close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.Restart("")
}

// Connected returns the clients that have a request waiting now.
func (d *Dispatcher) Connected() map[string]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := map[string]bool{}
	for id, a := range d.agents {
		if a.waiting != nil {
			ids[id] = true
		}
	}
	return ids
}

// notify has the request of a client looked at soon; mu is held.
func (d *Dispatcher) notify(a *agent) {
	if a == nil || a.waiting == nil || a.waiting.queued {
		return
	}
	a.waiting.queued = true
	d.woken = append(d.woken, a.waiting)
	tell(d.look)
}

// wakeAll has every request looked at; mu is held.
func (d *Dispatcher) wakeAll() {
	for _, a := range d.agents {
		d.notify(a)
	}
}
