package dispatch

import (
	"context"
	"time"

	"webjob.dev/webjob"
)

// An order may include clients that match later. A client joins when it enrols, or its
// labels or facts change; and an order looks at all clients when it is made, approved or
// resumed, when the server starts, and now and then: whatever was missed in between, in a
// crash or while both came at once, is made up for.

// Join adds a client to the orders that it matches and is not in.
func (d changes) Join(ctx context.Context, client string) error {
	c, err := d.Store.Client(ctx, client)
	if err != nil || c.Revoked() {
		return err
	}
	for _, o := range d.list() {
		if !d.takesLate(o) {
			continue
		}
		v, err := d.Store.JobVersion(ctx, o.signed.Job, o.signed.Version)
		if err != nil {
			return err
		}
		if err := d.joinAll(ctx, o, v, []webjob.Client{c}); err != nil {
			return err
		}
	}
	return nil
}

// join adds the clients that match an order and are not in it.
func (d changes) join(ctx context.Context, o *order) error {
	if !d.takesLate(o) {
		return nil
	}
	v, err := d.Store.JobVersion(ctx, o.signed.Job, o.signed.Version)
	if err != nil {
		return err
	}
	var clients []webjob.Client
	if err := d.eachClient(ctx, func(c webjob.Client) { clients = append(clients, c) }); err != nil {
		return err
	}
	return d.joinAll(ctx, o, v, clients)
}

// takesLate reports whether an order takes late joiners. One that is pending or stopped
// does when it opens.
func (d changes) takesLate(o *order) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return o.status.Late && o.status.Schedule == nil && o.status.State == webjob.OrderOpen
}

func (d changes) joinAll(ctx context.Context, o *order, v webjob.JobVersion, clients []webjob.Client) error {
	if !v.WithdrawnAt.IsZero() {
		return nil
	}
	var missing []webjob.Client
	d.mu.Lock()
	for _, c := range clients {
		if mayGet(c, v) && o.selects(c) && o.runs[o.status.RunID(c.ID, time.Time{})] == nil {
			missing = append(missing, c)
		}
	}
	runs := runsFor(o.signed, missing, time.Time{})
	d.mu.Unlock()
	for i := range runs {
		runs[i].Rank = webjob.MaxOrderRuns // never of the canary
	}
	if len(runs) == 0 {
		return nil
	}
	if err := d.room(len(runs)); err != nil {
		return err
	}
	added, err := d.Store.JoinOrder(ctx, o.signed.ID, runs)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range added {
		if d.orders[o.signed.ID] == o && o.runs[r.Run] == nil {
			o.status.Counts[webjob.RunQueued]++
			d.attach(o, r, d.looks)
		}
	}
	return nil
}
