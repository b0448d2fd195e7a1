package dispatch

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"webjob.dev/webjob"
)

// views tell people and other rooms how orders are.
type views struct{ *book }

// Overlay completes a stored order with what clients say.
func (d *book) Overlay(status webjob.OrderStatus) webjob.OrderStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	if o := d.orders[status.ID]; o != nil {
		status.Counts = o.counts(status.Counts)
	}
	return status
}

// StateOf completes a stored run with what its client says.
func (d views) StateOf(r webjob.OrderRun) webjob.OrderRun {
	d.mu.Lock()
	defer d.mu.Unlock()
	if o := d.orders[r.Order]; o != nil {
		if known := o.runs[r.Run]; known != nil && known.running {
			r.State = webjob.RunRunning
		}
	}
	return r
}

// clockTolerance is how far the clock of a client may be ahead.
const clockTolerance = 24 * time.Hour

// Keeps reports whether the client keeps the time of the order itself, and the time is one
// at which it may have run. One that makes times up could have any number of runs: enough
// to fill the store, or to outweigh what all others did.
func (d views) Keeps(order string, client webjob.Client, at time.Time) bool {
	o := d.order(order)
	if o == nil || o.signed.Schedule == nil || !o.signed.Schedule.Agent || !o.selects(client) {
		return false
	}
	begin, end := later(o.signed.NotBefore, o.signed.Created).Add(-time.Second), earlier(o.signed.Expires, now().Add(clockTolerance))
	return at.After(begin) && at.Before(end) && o.times().Has(at)
}

// standingFor returns the standing orders of a client, by id; mu is held.
func (d waits) standingFor(client webjob.Client) [][]byte {
	var orders []*order
	for _, o := range d.orders {
		if o.agentsKeepTime() && o.status.State == webjob.OrderOpen && o.selects(client) {
			orders = append(orders, o)
		}
	}
	slices.SortFunc(orders, func(a, b *order) int { return cmp.Compare(a.status.ID, b.status.ID) })
	var envelopes [][]byte
	for _, o := range orders {
		envelopes = append(envelopes, o.status.Envelope)
	}
	return envelopes
}

// Detail is an order and the runs that are worth a look.
type Detail struct {
	webjob.OrderStatus
	Slowest    []webjob.OrderRun // running, the longest first
	Failing    []webjob.OrderRun
	CanaryRuns []CanaryRun // while the rest waits for it
	Waits      string      // what the order waits for, for people; "" when it does not
	Missing    int         // signatures that are still to come, of
	MaySign    []string    // these people
}

// CanaryRun is a run of the canary.
type CanaryRun struct {
	webjob.OrderRun
	Connected bool      // its client waits for work here
	LastPoll  time.Time // when it last did, since this server started; zero for never
}

// Detail returns an order and what is worth a look.
func (d views) Detail(ctx context.Context, id string) (Detail, error) {
	const some = 5
	o, err := d.Store.Order(ctx, id)
	if err != nil {
		return Detail{}, err
	}
	detail := Detail{OrderStatus: d.Overlay(o), Slowest: d.slowest(id, some)}
	detail.CanaryRuns, detail.Waits = d.canary(id)
	if o.State == webjob.OrderPending {
		if detail.Missing, detail.MaySign, err = d.lacks(ctx, o); err != nil {
			return detail, err
		}
	}
	for _, state := range []webjob.RunState{webjob.RunFailed, webjob.RunTimedOut, webjob.RunRefusedOne, webjob.RunLost} {
		if o.Counts[state] == 0 || len(detail.Failing) >= some {
			continue
		}
		runs, _, err := d.Store.ListOrderRuns(ctx, id, []webjob.RunState{state}, webjob.Page{Limit: some - len(detail.Failing)})
		if err != nil {
			return detail, err
		}
		detail.Failing = append(detail.Failing, runs...)
	}
	return detail, nil
}

// slowest returns the runs that run the longest.
func (d views) slowest(id string, n int) []webjob.OrderRun {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.orders[id]
	if o == nil {
		return nil
	}
	var runs []webjob.OrderRun
	for _, r := range o.runs {
		if r.running {
			run := r.stored()
			run.State, run.Updated = webjob.RunRunning, r.begun
			runs = append(runs, run)
		}
	}
	slices.SortFunc(runs, func(a, b webjob.OrderRun) int { return a.Updated.Compare(b.Updated) })
	return runs[:min(n, len(runs))]
}

func (r *run) stored() webjob.OrderRun {
	return webjob.OrderRun{Run: r.id, Order: r.order.status.ID, Client: r.client, At: r.at, Rank: r.rank, State: r.state, Until: r.until}
}

// canary tells who the canary is that an order waits for, and what for.
func (d views) canary(id string) (runs []CanaryRun, waits string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.orders[id]
	if o == nil || o.status.State != webjob.OrderOpen || canaryPassed(o.status) {
		return nil, ""
	}
	away := 0
	for _, r := range o.runs {
		if r.rank >= o.status.Canary {
			continue
		}
		run := CanaryRun{OrderRun: r.stored()}
		if r.running {
			run.State = webjob.RunRunning
		}
		if a := d.agents[r.client]; a != nil {
			run.Connected, run.LastPoll = a.waiting != nil, a.lastPoll
		}
		if r.state == webjob.RunQueued && !run.Connected {
			away++
		}
		runs = append(runs, run)
	}
	slices.SortFunc(runs, func(a, b CanaryRun) int { return cmp.Compare(a.Rank, b.Rank) })
	waits = fmt.Sprintf("%d of %d canary runs have succeeded", o.status.Counts[webjob.RunDone], min(o.status.Canary, o.status.Counts.Total()))
	if away > 0 {
		waits += fmt.Sprintf("; %d canary clients are away, and clients that are connected take their places", away)
	}
	return runs, waits
}

// Selection tells whom a selector means.
type Selection struct {
	Matching int64    // clients that are not revoked
	Enrolled int64    // of so many
	Examples []string // at most five
}

// Select tells whom a selector means, of those that are seen; of the others, only how many
// there are.
func (d views) Select(ctx context.Context, on string, seen func(webjob.Client) bool) (Selection, error) {
	selection := Selection{Examples: []string{}}
	selector, err := webjob.ParseSelector(on)
	if err != nil {
		return selection, err
	}
	err = d.eachClient(ctx, func(c webjob.Client) {
		if c.Revoked() {
			return
		}
		selection.Enrolled++
		if seen(c) && selector.Matches(c.Subject()) {
			selection.Matching++
			if len(selection.Examples) < 5 {
				selection.Examples = append(selection.Examples, c.ID)
			}
		}
	})
	return selection, err
}
