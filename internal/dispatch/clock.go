package dispatch

import (
	"context"
	"errors"
	"slices"
	"time"

	"webjob.dev/webjob"
)

// clock keeps the time of orders.
type clock struct{ changes }

// How often the clock looks at what no time is known of.
const (
	canaryEvery = 5 * time.Second
	joinEvery   = 10 * time.Minute
	// awayTime is how long a client of the canary may be away before another one takes
	// its place.
	awayTime = 20 * time.Second
	// onTime is how late a time of a schedule may be kept without counting as missed.
	onTime = time.Minute
)

// KeepTime keeps the time of orders until ctx ends: schedules, ends of windows, canaries
// that are away, what could not be carried out before. One server does it at a time; two
// that do change nothing twice.
func (d clock) KeepTime(ctx context.Context) {
	joined := time.Now()
	for {
		next := d.keepTime(ctx)
		if time.Since(joined) > joinEvery {
			joined = time.Now()
			for _, o := range d.list() {
				d.later(ctx, o, d.join(ctx, o))
			}
		}
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
func (d clock) keepTime(ctx context.Context) time.Time {
	next := time.Now().Add(time.Hour)
	var errs []error
	for _, o := range d.list() {
		due, err := d.keep(ctx, o)
		next = earlier(next, due)
		if err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil && ctx.Err() == nil {
		d.Log.Error("orders could not be kept in time", "error", err)
		return time.Now().Add(time.Second)
	}
	return next
}

// keep does what is due of one order and returns when the next thing is.
func (d clock) keep(ctx context.Context, o *order) (next time.Time, err error) {
	d.mu.Lock()
	status := o.status
	waits := status.State == webjob.OrderOpen && !canaryPassed(status)
	d.mu.Unlock()
	at := time.Now()
	switch {
	case !at.Before(status.Expires):
		return at.Add(time.Minute), d.expire(ctx, o) // what is on offer may still come
	case status.State == webjob.OrderOpen && !status.NextAt.IsZero() && !at.Before(status.NextAt):
		err = d.repeat(ctx, o, status, at)
	case waits:
		err = d.replaceCanary(ctx, o, at)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	next = o.status.Expires
	if o.status.State == webjob.OrderOpen && !o.status.NextAt.IsZero() {
		next = earlier(next, o.status.NextAt)
	}
	if waits {
		next = earlier(next, at.Add(canaryEvery))
	}
	return next, err
}

// expire gives up what did not begin in the window, and ends the order when nothing is
// left of it. What is on offer may still come until the offer is over.
func (d clock) expire(ctx context.Context, o *order) error {
	id := o.signed.ID
	moved := int64(0)
	for _, move := range moves(runExpire, nil) {
		n, err := d.Store.MoveRuns(ctx, id, move, now())
		if err != nil {
			return err
		}
		moved += n
	}
	if moved > 0 || d.anyGone(o) {
		if err := d.reload(ctx, id); err != nil {
			return err
		}
	}
	d.mu.Lock()
	open := len(o.runs)
	d.mu.Unlock()
	if open > 0 {
		return nil
	}
	_, err := d.change(ctx, id, step{event: eventExpire})
	if webjob.KindOf(err) == webjob.Conflict {
		return d.reload(ctx, id) // it has ended, or a run joined in this moment
	}
	return err
}

// anyGone reports whether the cache has runs that cannot be in the store any more, now that
// all were given up that are not on offer: another server had their results.
func (d clock) anyGone(o *order) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := now()
	for _, r := range o.runs {
		if r.state != webjob.RunOffered || !r.until.After(at) {
			return true
		}
	}
	return false
}

// repeat makes the runs of a time of a schedule that has come. When several have
// passed, the latest one is made up for, or none, as the order says. Runs of earlier times
// that did not begin are given up.
func (d clock) repeat(ctx context.Context, o *order, status webjob.OrderStatus, at time.Time) error {
	due, times := status.NextAt, o.times()
	if latest := times.Latest(due, at); !latest.IsZero() {
		due = latest
	}
	next := times.Next(due)
	if !next.IsZero() && !next.Before(status.Expires) {
		next = status.Expires
	}
	var runs []webjob.OrderRun
	if at.Sub(due) < onTime || status.Schedule.Missed == webjob.MissedRun {
		v, err := d.Store.JobVersion(ctx, status.Job, status.Version)
		if err != nil {
			return err
		}
		if !v.WithdrawnAt.IsZero() {
			return d.Stop(ctx, status.ID, "the job's version was withdrawn", false)
		}
		var clients []webjob.Client
		err = d.eachClient(ctx, func(c webjob.Client) {
			if mayGet(c, v) && o.selects(c) {
				clients = append(clients, c)
			}
		})
		if err != nil {
			return err
		}
		runs = runsFor(o.signed, clients, due)
		if err := d.room(len(runs)); err != nil {
			return err
		}
	}
	_, err := d.change(ctx, status.ID, step{
		event: eventDue,
		edit: func(now *webjob.OrderStatus) (bool, error) {
			if !now.NextAt.Equal(status.NextAt) {
				return false, errNotSo // another server was faster
			}
			now.NextAt = next
			return false, nil
		},
		add: func(webjob.OrderStatus) []webjob.OrderRun { return runs },
	})
	if errors.Is(err, errNotSo) || webjob.KindOf(err) == webjob.Conflict {
		return d.reload(ctx, status.ID)
	}
	return err
}

// replaceCanary lets a connected client take the place of one of the canary that is away,
// so that the rest need not wait for a machine that is gone.
func (d clock) replaceCanary(ctx context.Context, o *order, at time.Time) error {
	for _, move := range moves(runYield, d.canaryOffered(o, at)) {
		n, err := d.Store.MoveRuns(ctx, o.signed.ID, move, now())
		if err != nil {
			return err
		}
		if n > 0 {
			if err := d.reload(ctx, o.signed.ID); err != nil {
				return err
			}
		}
	}
	d.mu.Lock()
	var away, here []*run
	for _, r := range o.runs {
		a := d.agents[r.client]
		switch connected := a != nil && a.waiting != nil; {
		case r.state != webjob.RunQueued || r.offering || r.rank == webjob.MaxOrderRuns:
		case r.rank < o.status.Canary && !connected && d.away(a, at):
			away = append(away, r)
		case r.rank >= o.status.Canary && connected:
			here = append(here, r)
		}
	}
	byRank := func(a, b *run) int { return int(a.rank - b.rank) }
	slices.SortFunc(away, byRank)
	slices.SortFunc(here, byRank)
	d.mu.Unlock()
	for i := range min(len(away), len(here)) {
		err := d.Store.SwapRanks(ctx, o.signed.ID, away[i].id, here[i].id)
		if err != nil && webjob.KindOf(err) != webjob.Conflict {
			return err
		}
		d.Log.Info("another client takes the place of one of the canary that is away", "order", o.signed.ID, "away", away[i].client, "client", here[i].client)
	}
	if len(away) == 0 || len(here) == 0 {
		return nil
	}
	return d.reload(ctx, o.signed.ID)
}

// canaryOffered returns the runs of the canary that are offered to clients which are away.
func (d clock) canaryOffered(o *order, at time.Time) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	runs := []string{} // nil would mean all
	for _, r := range o.runs {
		if a := d.agents[r.client]; r.rank < o.status.Canary && r.state == webjob.RunOffered && a.waiting == nil && d.away(a, at) {
			runs = append(runs, r.id)
		}
	}
	return runs
}

// away reports whether a client that does not wait has been away for long. After a start of
// the server all get their time to come back; mu is held.
func (d clock) away(a *agent, at time.Time) bool {
	return at.Sub(later(a.lastPoll, d.since)) > awayTime
}
