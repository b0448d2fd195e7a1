package server

import (
	"cmp"
	"context"
	"slices"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
)

// repeat makes the runs of a time of a schedule that has come. When several have
// passed, the latest one is made up for, or none, as the order says.
func (d *dispatcher) repeat(ctx context.Context, o *liveOrder, due, at time.Time, clients func(context.Context) ([]webjob.Client, error)) error {
	times := o.times()
	if latest := times.Latest(due, at); !latest.IsZero() {
		due = latest
	}
	next := times.Next(due)
	if !next.IsZero() && !next.Before(o.status.Expires) {
		next = o.status.Expires
	}
	var runs []webjob.OrderRun
	if at.Sub(due) < onTime || o.status.Schedule.Missed == webjob.MissedRun {
		list, err := clients(ctx)
		if err != nil {
			return err
		}
		v, err := d.store.JobVersion(ctx, o.status.Job, o.status.Version)
		if err != nil {
			return err
		}
		if !v.WithdrawnAt.IsZero() {
			return d.stop(ctx, o.status.ID, "the job's version was withdrawn", false)
		}
		list = slices.DeleteFunc(list, func(c webjob.Client) bool { return !mayGet(c, v) || !o.signed.Selects(c.Subject()) })
		runs = runsFor(o.signed, list, due)
	}
	if err := d.giveUpEarlier(ctx, o); err != nil {
		return err
	}
	if err := d.room(len(runs)); err != nil {
		return err
	}
	if err := d.store.AddOrderRuns(ctx, o.status.ID, runs, next); err != nil {
		return err
	}
	d.mu.Lock()
	o.status.NextAt = next
	status := o.status
	d.mu.Unlock()
	d.add(status, o.signed, runs)
	return nil
}

// onTime is how late a time of a schedule may be kept without counting as missed.
const onTime = time.Minute

// giveUpEarlier ends the runs of earlier times that did not begin.
func (d *dispatcher) giveUpEarlier(ctx context.Context, o *liveOrder) error {
	d.mu.Lock()
	var over []string
	for _, r := range o.runs {
		if r.state == webjob.RunQueued {
			over = append(over, r.run)
		}
	}
	d.mu.Unlock()
	if len(over) == 0 {
		return nil
	}
	if _, err := d.store.EndRuns(ctx, o.status.ID, over, webjob.RunExpired, now()); err != nil {
		return err
	}
	d.mu.Lock()
	for _, run := range over {
		d.detach(o, run)
	}
	d.mu.Unlock()
	return d.refresh(ctx, o)
}

// standingFor returns the standing orders of a client, by id; mu is held.
func (d *dispatcher) standingFor(client webjob.Client) [][]byte {
	var orders []*liveOrder
	subject := client.Subject()
	for _, o := range d.orders {
		if s := o.status.Schedule; s != nil && s.Agent && o.status.State == webjob.OrderOpen && o.signed.Selects(subject) {
			orders = append(orders, o)
		}
	}
	slices.SortFunc(orders, func(a, b *liveOrder) int { return cmp.Compare(a.status.ID, b.status.ID) })
	var envelopes [][]byte
	for _, o := range orders {
		envelopes = append(envelopes, o.status.Envelope)
	}
	return envelopes
}

// keeps reports whether the client keeps the time of the order itself.
func (d *dispatcher) keeps(order string, client webjob.Client) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.orders[order]
	return o != nil && o.status.Schedule != nil && o.status.Schedule.Agent && o.signed.Selects(client.Subject())
}

// lateOrder is an order that takes late joiners, and how many runs it has.
type lateOrder struct {
	signed *trust.SignedOrder
	total  int64
}

// late returns the open orders that a client joins now.
func (d *dispatcher) late(client webjob.Client) []lateOrder {
	d.mu.Lock()
	defer d.mu.Unlock()
	var orders []lateOrder
	for _, o := range d.orders {
		if o.status.Late && o.status.Schedule == nil && o.status.State == webjob.OrderOpen && o.runs[o.status.RunID(client.ID, time.Time{})] == nil &&
			o.signed.Selects(client.Subject()) {
			orders = append(orders, lateOrder{signed: o.signed, total: o.status.Counts.Total()})
		}
	}
	return orders
}

// slowest returns the runs that run the longest: those that were added first.
func (d *dispatcher) slowest(order string, n int) []webjob.OrderRun {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.orders[order]
	if o == nil || o.running == 0 {
		return nil
	}
	var runs []webjob.OrderRun
	for _, r := range o.runs {
		if r.state == webjob.RunRunning {
			runs = append(runs, webjob.OrderRun{Run: r.run, Order: order, Client: r.client, At: r.at, Rank: r.rank, State: r.state, Updated: r.begun})
		}
	}
	slices.SortFunc(runs, func(a, b webjob.OrderRun) int { return a.Updated.Compare(b.Updated) })
	return runs[:min(n, len(runs))]
}
