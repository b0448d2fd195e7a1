package server

import (
	"context"
	"errors"
	"time"

	"webjob.dev/webjob"
)

// run keeps the time of orders until ctx ends: schedules, ends of windows.
func (d *dispatcher) run(ctx context.Context, clients func(context.Context) ([]webjob.Client, error)) {
	for {
		next := d.keepTime(ctx, clients)
		timer := time.NewTimer(min(time.Until(next), time.Minute))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-d.timers:
			timer.Stop()
		}
	}
}

// keepTime does what is due and returns when the next thing is.
func (d *dispatcher) keepTime(ctx context.Context, clients func(context.Context) ([]webjob.Client, error)) time.Time {
	next := time.Now().Add(time.Hour)
	var errs []error
	for _, o := range d.list() {
		d.mu.Lock()
		expires, due, state := o.status.Expires, o.status.NextAt, o.status.State
		d.mu.Unlock()
		at := time.Now()
		switch {
		case !at.Before(expires):
			errs = append(errs, d.expire(ctx, o))
			next = earlier(next, at.Add(time.Minute)) // runs under way may still end
			continue
		case due.IsZero(): // again, where the store failed
			errs = append(errs, d.judge(ctx, o))
		case !due.IsZero() && state == webjob.OrderOpen && !at.Before(due):
			errs = append(errs, d.repeat(ctx, o, due, at, clients))
			d.mu.Lock()
			due = o.status.NextAt
			d.mu.Unlock()
		}
		next = earlier(next, expires)
		if !due.IsZero() && state == webjob.OrderOpen {
			next = earlier(next, due)
		}
	}
	if err := errors.Join(errs...); err != nil && ctx.Err() == nil {
		d.log.Error("orders could not be kept in time", "error", err)
		return time.Now().Add(time.Second)
	}
	return next
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// lateGrace is how long a run that a client said to be running may go on after its
// order expired, counted from the client's last word.
const lateGrace = 5 * time.Minute

// expire gives up what did not begin in the window.
func (d *dispatcher) expire(ctx context.Context, o *liveOrder) error {
	d.mu.Lock()
	var over []string
	for _, r := range o.runs {
		if c := d.clients[r.client]; r.state == webjob.RunRunning && c != nil && time.Since(c.lastPoll) < lateGrace {
			continue
		}
		over = append(over, r.run)
	}
	d.mu.Unlock()
	if len(over) > 0 {
		if _, err := d.store.EndRuns(ctx, o.status.ID, over, webjob.RunExpired, now()); err != nil {
			return err
		}
		d.mu.Lock()
		for _, run := range over {
			d.detach(o, run)
		}
		d.mu.Unlock()
		if err := d.refresh(ctx, o); err != nil {
			return err
		}
	}
	d.mu.Lock()
	left := len(o.runs)
	state := webjob.OrderDone
	if o.status.Counts[webjob.RunExpired]+o.status.Counts[webjob.RunStopped] > 0 {
		state = webjob.OrderExpired
	}
	d.mu.Unlock()
	if left > 0 {
		return nil
	}
	return d.finish(ctx, o, state)
}
