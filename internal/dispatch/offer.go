package dispatch

import (
	"context"
	"sync"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/wire"
)

// offering is an answer whose offers are being stored.
type offering struct {
	waiter *Waiter
	work   Work
	offers []offered
}

// portion is how many requests are looked at with the lock held once, and how many share
// a change of the store; several such changes are under way at a time.
const (
	portion  = 4096
	underWay = 4
)

// Serve looks at the requests that were woken until ctx ends.
func (d waits) Serve(ctx context.Context) {
	var storing sync.WaitGroup
	defer storing.Wait()
	places := make(chan struct{}, underWay)
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.look:
		}
		for more := true; more; {
			var batch []*offering
			d.mu.Lock()
			n := min(portion, len(d.woken))
			for _, w := range d.woken[:n] {
				w.queued = false
				batch = d.serve(w, batch)
			}
			d.woken = d.woken[n:]
			if more = len(d.woken) > 0; !more {
				d.woken = nil
			}
			d.mu.Unlock()
			if len(batch) == 0 {
				continue
			}
			places <- struct{}{}
			storing.Go(func() {
				defer func() { <-places }()
				d.storeOffers(ctx, batch)
			})
		}
	}
}

// storeOffers stores offers, and then makes them. What others changed meanwhile is not
// offered; its order is read anew.
func (d waits) storeOffers(ctx context.Context, batch []*offering) {
	if len(batch) == 0 {
		return
	}
	var offers []webjob.Offer
	for _, o := range batch {
		for _, picked := range o.offers {
			offers = append(offers, picked.offer)
		}
	}
	until := now().Add(offerTime)
	runs, err := d.Store.OfferRuns(context.WithoutCancel(ctx), offers, until)
	if err != nil {
		d.Log.Error("runs could not be offered; tried again in a second", "error", err)
	}
	given := make(map[string]bool, len(runs))
	for _, run := range runs {
		given[run] = true
	}
	stale := map[string]bool{}
	d.mu.Lock()
	for _, o := range batch {
		d.complete(o, given, until, stale, err != nil)
	}
	d.mu.Unlock()
	if err != nil {
		tell(d.stale)
		return
	}
	for id := range stale {
		if o := d.order(id); o != nil {
			err := d.reload(ctx, id)
			if err == nil {
				err = d.judge(ctx, o) // what others know of it may end it
			}
			d.later(ctx, o, err)
		}
	}
}

// complete answers a request with the offers that were stored; mu is held.
func (d waits) complete(o *offering, given map[string]bool, until time.Time, stale map[string]bool, failed bool) {
	w := o.waiter
	w.offering = false
	for _, picked := range o.offers {
		r := picked.run
		r.offering = false
		switch {
		case !given[r.id]:
			if stale[r.order.status.ID] = true; failed {
				r.order.stale = true // its place of the rate was not taken
			}
			continue
		case r.order.runs[r.id] != r:
			continue // it has ended in this moment
		}
		if r.until = until; r.state == webjob.RunQueued {
			r.move(webjob.RunOffered)
		}
		o.work.Offers = append(o.work.Offers, wire.Offer{Run: r.id, At: r.at, Order: r.order.status.Envelope})
	}
	a := d.agents[w.Client.ID]
	switch {
	case a == nil || a.waiting != w:
		if a != nil {
			d.notify(a) // it asked anew: what it was offered is found then
		}
	case !o.work.Empty() || w.now:
		d.answer(a, o.work)
	case failed:
		d.lookAgain(w, time.Now().Add(time.Second))
	default:
		d.notify(a)
	}
}

// storeWord stores what an agent says of its runs.
func (d waits) storeWord(ctx context.Context, said word) error {
	type change struct {
		event runEvent
		runs  []*run
	}
	for _, c := range []change{{runLost, said.lost}, {runNotHeld, said.notHeld}} {
		byOrder := map[*order][]string{}
		for _, r := range c.runs {
			byOrder[r.order] = append(byOrder[r.order], r.id)
		}
		for o, runs := range byOrder {
			for _, move := range moves(c.event, runs) {
				if _, err := d.Store.MoveRuns(ctx, o.signed.ID, move, now()); err != nil {
					return err
				}
			}
			if err := d.reload(ctx, o.signed.ID); err != nil {
				return err
			}
			d.later(ctx, o, d.judge(ctx, o))
		}
	}
	if len(said.held) == 0 {
		return nil
	}
	until := now().Add(offerTime)
	var held []string
	for _, r := range said.held {
		held = append(held, r.id)
	}
	if err := d.Store.HoldRuns(ctx, held, until); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range said.held {
		if r.order.runs[r.id] != r {
			continue
		}
		if r.until = until; r.state == webjob.RunQueued {
			r.move(webjob.RunOffered)
		}
	}
	return nil
}
