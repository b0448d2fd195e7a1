package dispatch

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
)

func sequenceText(o webjob.OrderStatus) string { return strconv.FormatInt(o.Sequence, 10) }

// changes are the changes of orders: in the store first, then in the book.
type changes struct{ *book }

// maxAttempts bounds how often a change is tried again that others came before.
const maxAttempts = 20

// step is how an order is to change.
type step struct {
	event orderEvent
	// edit changes more than the state, and says whether there are enough signatures for
	// the events that ask. It may be called more than once, each time with the order as
	// the store has it then.
	edit func(*webjob.OrderStatus) (enough bool, err error)
	add  func(webjob.OrderStatus) []webjob.OrderRun // new runs
}

// change makes a change of an order: in the store first, and only as the tables say of
// the order that is there at that moment. Then the cache is read anew; when that fails
// the change is made all the same, and Refresh reads it later.
func (d changes) change(ctx context.Context, id string, s step) (webjob.OrderStatus, error) {
	for range maxAttempts {
		before, err := d.Store.Order(ctx, id)
		if err != nil {
			return before, err
		}
		if !possible(before, s.event) {
			return before, impossible(before, s.event)
		}
		next := before
		isEnough := false
		if s.edit != nil {
			if isEnough, err = s.edit(&next); err != nil {
				return before, err
			}
		}
		var with runEvent
		if next.State, with, err = nextOrder(before, s.event, isEnough); err != nil {
			return before, err
		}
		change := webjob.OrderChange{Order: next, At: now()}
		if with != "" {
			change.Moves = moves(with, nil)
		}
		if s.add != nil {
			change.Add = s.add(next)
		}
		if next.State == webjob.OrderDone || next.State == webjob.OrderExpired {
			change.NoneOpen, change.Order.EndedAt, change.Order.NextAt = true, change.At, time.Time{}
			change.Deliveries = d.News(change.Order)
		}
		webjob.DescribeMore(ctx, "state", next.State)
		after, err := d.Store.ChangeOrder(ctx, change)
		if webjob.KindOf(err) == webjob.Conflict {
			continue // somebody was faster: judge what is there now
		}
		if err != nil {
			return before, err
		}
		if err := d.reload(ctx, id); err != nil {
			d.unread(id, err)
		}
		if change.NoneOpen {
			d.Log.Info("order ended", "order", id, "state", after.State)
			d.Wake() // not before: whoever looks too early waits for the next look
		}
		return after, nil
	}
	return webjob.OrderStatus{}, webjob.Errorf(webjob.Unavailable, "order %s changes all the time; try again", id)
}

// unread notes that a changed order could not be read.
func (d changes) unread(id string, err error) {
	tell(d.stale)
	d.Log.Warn("an order will be read again: the store did not answer", "order", id, "error", err)
}

// Stop holds back what has not begun. With running, what has begun is to end.
func (d changes) Stop(ctx context.Context, id, reason string, running bool) error {
	_, err := d.change(ctx, id, step{event: eventStop, edit: func(o *webjob.OrderStatus) (bool, error) {
		o.Reason, o.Cancelled = reason, o.Cancelled || running
		return false, nil
	}})
	if err == nil {
		d.Log.Info("order stopped", "order", id, "reason", reason)
	}
	return err
}

// Resume queues what was stopped. Failures until now are forgiven, and a canary that did
// not pass is waived. An order that has too few signatures waits for them again.
func (d changes) Resume(ctx context.Context, id string) error {
	_, err := d.change(ctx, id, step{event: eventResume, edit: func(o *webjob.OrderStatus) (bool, error) {
		isEnough, err := d.isEnough(ctx, *o)
		o.Reason, o.Cancelled = "", false
		o.Forgiven, o.Waived = o.Counts.Failures(), true
		return isEnough, err
	}})
	if err != nil {
		return err
	}
	if o := d.order(id); o != nil {
		d.later(ctx, o, d.join(ctx, o))
		d.later(ctx, o, d.judge(ctx, o))
	}
	return nil
}

// Approve adds the signatures of another copy of an order's envelope.
func (d changes) Approve(ctx context.Context, id string, envelope []byte) (webjob.OrderStatus, error) {
	status, err := d.change(ctx, id, step{event: eventSigned, edit: func(o *webjob.OrderStatus) (bool, error) {
		policy, err := d.Policy()
		if err != nil {
			return false, err
		}
		if o.Envelope, err = trust.MergeOrders(o.Envelope, envelope); err != nil {
			return false, err
		}
		signed, err := policy.OpenOrder(o.Envelope)
		if err != nil {
			return false, err
		}
		o.SignedBy = signed.SignedBy
		return d.isEnough(ctx, *o)
	}})
	if err != nil {
		return status, err
	}
	if o := d.order(id); o != nil {
		d.later(ctx, o, d.join(ctx, o))
	}
	return d.Overlay(status), nil
}

// later leaves what follows from a change, and could not be done at once, to Refresh: the
// change itself is made.
func (d changes) later(ctx context.Context, o *order, err error) {
	if err == nil {
		return
	}
	d.mu.Lock()
	o.stale = true
	d.mu.Unlock()
	tell(d.stale)
	if ctx.Err() == nil {
		d.Log.Warn("an order will be carried on later", "order", o.signed.ID, "error", err)
	}
}

// The shortest time between two looks at orders that are to be read anew, and the longest
// while some cannot be.
const (
	refreshEvery = 200 * time.Millisecond
	refreshLate  = 10 * time.Second
)

// Refresh reads orders anew of which the cache is known to be out of date, and carries
// them on, until ctx ends. Every server does this for its own cache.
func (d changes) Refresh(ctx context.Context) {
	wait := refreshEvery
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.stale:
		}
		if wait = min(2*wait, refreshLate); d.refresh(ctx) {
			wait = refreshEvery
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// refresh is one look. It reports whether all could be carried on.
func (d changes) refresh(ctx context.Context) (all bool) {
	all = true
	for _, o := range d.list() {
		if !d.isStale(o) {
			continue
		}
		err := d.reload(ctx, o.signed.ID)
		if err == nil {
			err = errors.Join(d.judge(ctx, o), d.join(ctx, o))
		}
		d.later(ctx, o, err)
		all = all && err == nil
	}
	return all
}

// Ended is told when the result of a run is durable. What cannot be carried out of that
// now is carried out later.
func (d changes) Ended(ctx context.Context, ended webjob.OrderRun) {
	d.mu.Lock()
	o := d.orders[ended.Order]
	if o == nil {
		d.mu.Unlock()
		return
	}
	o.noteEnd(ended.Run, ended.State)
	if r := o.runs[ended.Run]; r != nil {
		o.status.Counts[r.state]--
		o.status.Counts[ended.State]++
		d.detach(o, ended.Run)
		d.mu.Unlock()
		d.later(ctx, o, d.judge(ctx, o))
		return
	}
	// Given up before, or of an order whose time agents keep: the store knows.
	o.stale = true
	d.mu.Unlock()
	tell(d.stale)
}

// judge carries out what the runs so far mean for the order.
func (d changes) judge(ctx context.Context, o *order) error {
	d.mu.Lock()
	status := o.status
	status.Counts = maps.Clone(status.Counts)
	start := canaryPassed(status) && status.Canary > 0 && !o.started
	d.mu.Unlock()
	var err error
	switch {
	case status.State != webjob.OrderPending && allRun(status):
		_, err = d.change(ctx, status.ID, step{event: eventAllRun, edit: func(o *webjob.OrderStatus) (bool, error) {
			if !allRun(*o) {
				return false, errNotSo
			}
			return false, nil
		}})
	case status.State == webjob.OrderOpen && tooManyFailures(status) != "":
		act := webjob.ServerAct(now(), "order.stop", status.ID, "")
		_, err = d.change(webjob.WithAct(ctx, act), status.ID, step{event: eventStop, edit: func(o *webjob.OrderStatus) (bool, error) {
			reason := tooManyFailures(*o)
			if reason == "" || o.State != webjob.OrderOpen {
				return false, errNotSo
			}
			o.Reason, act.Reason = reason, reason
			return false, nil
		}})
	case start:
		d.mu.Lock()
		defer d.mu.Unlock()
		o.started = true
		for _, r := range o.runs {
			d.notify(d.agents[r.client])
		}
	}
	if errors.Is(err, errNotSo) || webjob.KindOf(err) == webjob.Conflict {
		return d.reload(ctx, status.ID) // the cache was out of date
	}
	return err
}

// errNotSo says that what the cache thought of an order is not so in the store.
var errNotSo = errors.New("the order has changed")
