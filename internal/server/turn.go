package server

import (
	"context"

	"webjob.dev/webjob"
)

// stop holds back what has not begun. With running, what has begun is to end.
func (d *dispatcher) stop(ctx context.Context, id, reason string, running bool) error {
	ended := webjob.Errorf(webjob.Conflict, "order %s has ended; there is nothing to stop", id)
	o := d.turn(id)
	if o == nil {
		return ended
	}
	defer o.turning.Unlock()
	d.mu.Lock()
	if d.orders[id] != o {
		d.mu.Unlock()
		return ended
	}
	var waiting []string
	for _, r := range o.runs {
		if r.state == webjob.RunQueued {
			waiting = append(waiting, r.run)
		} else if running {
			d.notify(d.client(r.client))
		}
	}
	o.cancelled = o.cancelled || running
	o.status.State, o.status.Reason = webjob.OrderStopped, reason
	status := o.status
	if o.status.Schedule != nil && o.status.Schedule.Agent {
		d.wakeAll()
	}
	d.mu.Unlock()
	d.log.Info("order stopped", "order", id, "reason", reason)
	if err := d.store.ChangeOrder(ctx, status, nil); err != nil {
		return err
	}
	if len(waiting) == 0 {
		return nil
	}
	if _, err := d.store.EndRuns(ctx, id, waiting, webjob.RunStopped, now()); err != nil {
		return err
	}
	d.mu.Lock()
	for _, run := range waiting {
		d.detach(o, run)
	}
	d.mu.Unlock()
	return d.refresh(ctx, o)
}

// turn returns an open or stopped order that nobody else stops or resumes until its
// turning is unlocked, nil for none.
func (d *dispatcher) turn(id string) *liveOrder {
	d.mu.Lock()
	o := d.orders[id]
	d.mu.Unlock()
	if o != nil {
		o.turning.Lock()
	}
	return o
}

// refresh takes the counts of the store over.
func (d *dispatcher) refresh(ctx context.Context, o *liveOrder) error {
	status, err := d.store.Order(ctx, o.status.ID)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	o.status.Counts = status.Counts
	return nil
}

// resume queues what was stopped. Failures until now are forgiven, and a canary
// that did not pass is waived.
func (d *dispatcher) resume(ctx context.Context, id string) error {
	o := d.turn(id)
	if o == nil {
		return errNotStopped(id)
	}
	err := d.resumeTurned(ctx, o)
	o.turning.Unlock()
	if err != nil {
		return err
	}
	d.tick()
	return d.judge(ctx, o)
}

func errNotStopped(id string) error {
	return webjob.Errorf(webjob.Conflict, "order %s is not stopped; there is nothing to resume", id)
}

// resumeTurned resumes an order whose turning is held.
func (d *dispatcher) resumeTurned(ctx context.Context, o *liveOrder) error {
	id := o.status.ID
	d.mu.Lock()
	if o.status.State != webjob.OrderStopped {
		d.mu.Unlock()
		return errNotStopped(id)
	}
	o.status.State, o.status.Reason, o.cancelled = webjob.OrderOpen, "", false
	o.status.Forgiven, o.status.Waived = o.status.Counts.Failures(), true
	status := o.status
	d.mu.Unlock()
	if err := d.store.ChangeOrder(ctx, status, nil); err != nil {
		return err
	}
	if _, err := d.store.EndRuns(ctx, id, nil, webjob.RunQueued, now()); err != nil {
		return err
	}
	if err := d.refresh(ctx, o); err != nil {
		return err
	}
	page := webjob.Page{Limit: webjob.MaxPage}
	for {
		runs, last, err := d.store.ListOrderRuns(ctx, id, webjob.RunQueued, page)
		if err != nil {
			return err
		}
		d.mu.Lock()
		for _, r := range runs {
			if c := d.attach(o, r); c != nil {
				d.notify(c)
			}
		}
		d.mu.Unlock()
		if len(runs) < page.Limit {
			break
		}
		page.After = last
	}
	d.mu.Lock()
	if o.status.Schedule != nil && o.status.Schedule.Agent {
		d.wakeAll()
	}
	d.mu.Unlock()
	return nil
}
