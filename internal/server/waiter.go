package server

import (
	"context"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/wire"
)

// waiter is a poll that is held open. It is answered exactly once: with work, with
// nothing at its deadline, or with nothing because it should be asked again.
type waiter struct {
	client   webjob.Client
	free     int
	known    map[string]webjob.RunState
	standing webjob.Digest
	answer   func(work) // called once, on a goroutine of its own
	drop     func()     // ends the connection instead
	deadline *time.Timer
	soon     *time.Timer // when looking again may help; nil for no such time
	queued   bool
	ticket   string // for the next poll
	fresh    bool   // to be answered at once, with or without work
}

// work is what a poll brings.
type work struct {
	runs     []*liveRun
	cancel   []string
	change   bool // standing is not what the agent has
	standing [][]byte
}

func (w work) empty() bool { return len(w.runs) == 0 && len(w.cancel) == 0 && !w.change }

// Long polls end together, a few times a second: waking up once for many costs less
// than once for each.
const pollTick = 250 * time.Millisecond

// onTick shortens a long wait so that it ends on a tick.
func onTick(wait time.Duration, now time.Time) time.Duration {
	if wait < 8*pollTick {
		return wait
	}
	return wait - time.Duration(now.Add(wait).UnixNano())%pollTick
}

// hold holds a poll open until there is work for its client, for at most the wait.
// What the poll says of runs is taken over first. It does not block.
func (d *dispatcher) hold(ctx context.Context, w *waiter, wait time.Duration) error {
	d.mu.Lock()
	if c := d.clients[w.client.ID]; c != nil {
		d.answered(c, work{}) // another poll of this client returns
	}
	c := d.client(w.client.ID)
	c.waiter, c.lastPoll = w, time.Now()
	lost, stopped, _ := c.reconcile(w.known)
	w.fresh = wait <= 0 || d.closed
	d.mu.Unlock()
	for state, runs := range map[webjob.RunState][]*liveRun{webjob.RunLost: lost, webjob.RunStopped: stopped} {
		for _, r := range runs {
			if err := d.end(ctx, r.order, r.run, state); err != nil {
				d.release(w)
				return err
			}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.serve(w)
	if c.waiter == w {
		w.deadline = time.AfterFunc(onTick(wait, time.Now()), func() { d.answerNow(w) })
	}
	return nil
}

// notify has the poll of a client looked at soon; mu is held.
func (d *dispatcher) notify(c *liveClient) {
	w := c.waiter
	if w == nil || w.queued {
		return
	}
	w.queued = true
	d.woken = append(d.woken, w)
	select {
	case d.look <- struct{}{}:
	default: // told already
	}
}

// serveWoken looks at the polls that were woken until ctx ends. It works in small
// portions, so that nobody waits long for the lock.
func (d *dispatcher) serveWoken(ctx context.Context) {
	const portion = 64
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.look:
		}
		for more := true; more; {
			d.mu.Lock()
			n := min(portion, len(d.woken))
			for _, w := range d.woken[:n] {
				w.queued = false
				d.serve(w)
			}
			d.woken = d.woken[n:]
			if more = len(d.woken) > 0; !more {
				d.woken = nil
			}
			d.mu.Unlock()
		}
	}
}

// serve answers a poll when there is work, or when it is not to wait; mu is held.
func (d *dispatcher) serve(w *waiter) {
	c := d.clients[w.client.ID]
	if c == nil || c.waiter != w {
		return // answered already
	}
	_, _, cancel := c.reconcile(w.known)
	found := work{cancel: cancel}
	var again time.Time
	found.runs, again = c.pick(w.free, time.Now())
	if d.standing > 0 || w.standing != "" && w.standing != webjob.EmptyDigest {
		found.standing = d.standingFor(w.client)
		have := w.standing
		if have == "" {
			have = webjob.EmptyDigest
		}
		found.change = wire.StandingDigest(found.standing) != have
	}
	if !found.empty() || w.fresh {
		d.answered(c, found)
		return
	}
	if w.soon != nil {
		w.soon.Stop()
		w.soon = nil
	}
	if !again.IsZero() {
		w.soon = time.AfterFunc(max(time.Until(again), time.Millisecond), func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			if c.waiter == w {
				d.notify(c)
			}
		})
	}
}

// answered takes a client's waiter away and answers it; mu is held.
func (d *dispatcher) answered(c *liveClient, found work) {
	if w := d.takeWaiter(c); w != nil {
		d.forget(w.client.ID)
		go w.answer(found) // it writes to the network
	}
}

func (d *dispatcher) takeWaiter(c *liveClient) *waiter {
	w := c.waiter
	c.waiter = nil
	if w == nil {
		return nil
	}
	for _, timer := range []*time.Timer{w.deadline, w.soon} {
		if timer != nil {
			timer.Stop()
		}
	}
	return w
}

// answerNow answers a poll whose time is over.
func (d *dispatcher) answerNow(w *waiter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.clients[w.client.ID]; c != nil && c.waiter == w {
		w.fresh = true
		d.serve(w)
	}
}

// release takes a poll back that nobody waits for any more.
func (d *dispatcher) release(w *waiter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.clients[w.client.ID]; c != nil && c.waiter == w {
		d.takeWaiter(c)
		d.forget(w.client.ID)
	}
}

// forget drops a client that neither waits nor has anything to do; mu is held.
func (d *dispatcher) forget(id string) {
	if c := d.clients[id]; c != nil && c.waiter == nil && len(c.runs) == 0 {
		delete(d.clients, id)
	}
}

// restart answers the poll of a client, or of every client when id is empty, so that
// it is asked again what holds for it.
func (d *dispatcher) restart(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for client, c := range d.clients {
		if id == "" || id == client {
			d.answered(c, work{})
		}
	}
}

// cut ends the poll of a client without an answer.
func (d *dispatcher) cut(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.clients[id]; c != nil {
		if w := d.takeWaiter(c); w != nil {
			go w.drop() // it writes to the network
		}
		d.forget(id)
	}
}

// wakeAll has every poll looked at; mu is held.
func (d *dispatcher) wakeAll() {
	for _, c := range d.clients {
		d.notify(c)
	}
}

// close answers every poll, and those that come later at once.
func (d *dispatcher) close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.restart("")
}
