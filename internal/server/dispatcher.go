package server

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
)

// dispatcher decides which client does which run of an order when. It keeps what is
// not finished in memory; the store has all of it, and what clients say with every
// poll completes the rest, so a server that was killed goes on where it was.
type dispatcher struct {
	store webjob.Store
	log   *slog.Logger
	ended func(webjob.OrderStatus) []webjob.Delivery // what to tell when an order is done
	told  func()                                     // called once that is stored

	mu       sync.Mutex
	orders   map[string]*liveOrder
	clients  map[string]*liveClient
	standing int // orders whose time agents keep
	total    int // runs that are not finished
	timers   chan struct{}
	closed   bool          // the server stops: polls are answered at once
	woken    []*waiter     // to be looked at
	look     chan struct{} // tells that woken is not empty
}

func newDispatcher(store webjob.Store, log *slog.Logger) *dispatcher {
	return &dispatcher{
		store: store, log: log, orders: map[string]*liveOrder{}, clients: map[string]*liveClient{}, timers: make(chan struct{}, 1), look: make(chan struct{}, 1),
		ended: func(webjob.OrderStatus) []webjob.Delivery { return nil }, told: func() {},
	}
}

// load takes over what the store has.
func (d *dispatcher) load(ctx context.Context, policy *trust.Policy) error {
	for _, state := range []webjob.OrderState{webjob.OrderPending, webjob.OrderOpen, webjob.OrderStopped} {
		filter := webjob.OrderFilter{State: state, Page: webjob.Page{Limit: webjob.MaxPage}}
		for {
			orders, err := d.store.ListOrders(ctx, filter)
			if err != nil {
				return err
			}
			for _, o := range orders {
				signed, err := policy.OpenOrder(o.Envelope)
				if err != nil {
					d.log.Warn("an order is left alone", "order", o.ID, "error", err)
					continue
				}
				d.orders[o.ID] = &liveOrder{status: o, signed: signed, runs: map[string]*liveRun{}}
			}
			if len(orders) < filter.Page.Limit {
				break
			}
			filter.Page.After = strconv.FormatInt(orders[len(orders)-1].Sequence, 10)
		}
	}
	d.mu.Lock()
	for _, o := range d.orders {
		d.countStanding(o, 1)
	}
	d.mu.Unlock()
	err := d.store.OpenRuns(ctx, func(r webjob.OrderRun) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if o := d.orders[r.Order]; o != nil {
			d.attach(o, r)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, o := range d.list() {
		if err := d.judge(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

func (d *dispatcher) list() []*liveOrder {
	d.mu.Lock()
	defer d.mu.Unlock()
	orders := make([]*liveOrder, 0, len(d.orders))
	for _, o := range d.orders {
		orders = append(orders, o)
	}
	return orders
}

func (d *dispatcher) countStanding(o *liveOrder, n int) {
	if o.status.Schedule != nil && o.status.Schedule.Agent {
		d.standing += n
	}
}

// client returns what a client is to do, made when it is not there; mu is held.
func (d *dispatcher) client(id string) *liveClient {
	c := d.clients[id]
	if c == nil {
		c = &liveClient{}
		d.clients[id] = c
	}
	return c
}

// attach adds a run that is not finished; mu is held.
func (d *dispatcher) attach(o *liveOrder, r webjob.OrderRun) *liveClient {
	if o.runs[r.Run] != nil {
		return nil
	}
	live := &liveRun{order: o, run: r.Run, client: r.Client, at: r.At, rank: r.Rank, state: webjob.RunQueued}
	o.runs[r.Run] = live
	d.total++
	c := d.client(r.Client)
	c.insert(live)
	return c
}

// detach forgets a run; mu is held.
func (d *dispatcher) detach(o *liveOrder, run string) {
	r := o.runs[run]
	if r == nil {
		return
	}
	o.setState(r, webjob.RunQueued)
	delete(o.runs, run)
	d.total--
	c := d.clients[r.client]
	for i, other := range c.runs {
		if other == r {
			c.runs = append(c.runs[:i], c.runs[i+1:]...)
			break
		}
	}
	if len(c.runs) == 0 && c.waiter == nil {
		delete(d.clients, r.client)
	}
}

// room reports whether so many more runs fit.
func (d *dispatcher) room(n int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.total+n > webjob.MaxOrderRuns {
		return webjob.Errorf(webjob.Unavailable, "%d runs are not finished and the order adds %d; at most %d at once: wait, or stop other orders", d.total, n, webjob.MaxOrderRuns)
	}
	return nil
}

// add takes a stored order and its runs over and wakes who is to do them.
func (d *dispatcher) add(status webjob.OrderStatus, signed *trust.SignedOrder, runs []webjob.OrderRun) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.orders[status.ID]
	if o == nil {
		o = &liveOrder{status: status, signed: signed, runs: map[string]*liveRun{}}
		d.orders[status.ID] = o
		d.countStanding(o, 1)
		if o.status.Counts == nil {
			o.status.Counts = webjob.Counts{}
		}
	}
	for _, r := range runs {
		if c := d.attach(o, r); c != nil {
			o.status.Counts[webjob.RunQueued]++
			d.notify(c)
		}
	}
	if status.Schedule != nil && status.Schedule.Agent {
		d.wakeAll()
	}
	d.tick()
}

// approved takes over that an order has enough signatures, or more than before.
func (d *dispatcher) approved(status webjob.OrderStatus, signed *trust.SignedOrder) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.orders[status.ID]
	if o == nil {
		return // it ended in this moment
	}
	o.signed, o.status.Envelope, o.status.SignedBy, o.status.State = signed, status.Envelope, status.SignedBy, status.State
	for _, r := range o.runs {
		d.notify(d.client(r.client))
	}
	if status.Schedule != nil && status.Schedule.Agent {
		d.wakeAll()
	}
	d.tick()
}

// tick makes the clock look again when the next thing is due.
func (d *dispatcher) tick() {
	select {
	case d.timers <- struct{}{}:
	default: // it will look anyway
	}
}

// finished is told when the result of a run is durable.
func (d *dispatcher) finished(ctx context.Context, run webjob.OrderRun) error {
	d.mu.Lock()
	o := d.orders[run.Order]
	if o == nil {
		d.mu.Unlock()
		return nil
	}
	if o.runs[run.Run] == nil { // given up before, or of a standing order: the store knows
		d.mu.Unlock()
		status, err := d.store.Order(ctx, run.Order)
		if err != nil {
			return err
		}
		d.mu.Lock()
		o.status.Counts = status.Counts
	} else {
		d.detach(o, run.Run)
		o.status.Counts[webjob.RunQueued]--
		o.status.Counts[run.State]++
	}
	if c := d.clients[run.Client]; c != nil {
		d.notify(c) // the next one of a serial group
	}
	d.mu.Unlock()
	return d.judge(ctx, o)
}

// end gives a run a final state without a result.
func (d *dispatcher) end(ctx context.Context, o *liveOrder, run string, state webjob.RunState) error {
	n, err := d.store.EndRuns(ctx, o.status.ID, []string{run}, state, now())
	if err != nil || n == 0 {
		return err
	}
	d.mu.Lock()
	d.detach(o, run)
	o.status.Counts[webjob.RunQueued]--
	o.status.Counts[state]++
	d.mu.Unlock()
	return d.judge(ctx, o)
}

// judge carries out what the runs so far mean for the order.
func (d *dispatcher) judge(ctx context.Context, o *liveOrder) error {
	d.mu.Lock()
	passed := o.canaryPassed()
	state, reason := o.verdict()
	was := o.status.State
	d.mu.Unlock()
	switch {
	case state == webjob.OrderStopped && was == webjob.OrderOpen:
		return d.stop(ctx, o.status.ID, reason, false)
	case state == webjob.OrderDone || state == webjob.OrderExpired:
		return d.finish(ctx, o, state)
	case passed && o.status.Canary > 0:
		d.mu.Lock()
		if o.opened {
			d.mu.Unlock()
			return nil
		}
		o.opened = true
		for _, r := range o.runs {
			d.notify(d.client(r.client))
		}
		d.mu.Unlock()
	}
	return nil
}

// finish ends an order. While the end cannot be stored it has not ended, and is judged
// again.
func (d *dispatcher) finish(ctx context.Context, o *liveOrder, state webjob.OrderState) error {
	d.mu.Lock()
	if d.orders[o.status.ID] != o {
		d.mu.Unlock()
		return nil // by someone else, in this moment
	}
	delete(d.orders, o.status.ID)
	d.countStanding(o, -1)
	if o.status.Schedule != nil && o.status.Schedule.Agent {
		d.wakeAll()
	}
	before := o.status
	o.status.State, o.status.EndedAt, o.status.NextAt = state, now(), time.Time{}
	status := o.status
	d.mu.Unlock()
	if err := d.store.ChangeOrder(ctx, status, d.ended(status)); err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		o.status.State, o.status.EndedAt, o.status.NextAt = before.State, before.EndedAt, before.NextAt
		d.orders[status.ID] = o
		d.countStanding(o, 1)
		return err
	}
	d.log.Info("order ended", "order", status.ID, "state", status.State)
	d.told() // not before: whoever looks too early waits for the next look
	return nil
}

// overlay completes a stored order with what clients say.
func (d *dispatcher) overlay(o webjob.OrderStatus) webjob.OrderStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	if live := d.orders[o.ID]; live != nil {
		o.Counts = live.counts(o.Counts)
	}
	return o
}

// stateOf completes a stored run with what its client says.
func (d *dispatcher) stateOf(r webjob.OrderRun) webjob.OrderRun {
	d.mu.Lock()
	defer d.mu.Unlock()
	if o := d.orders[r.Order]; o != nil {
		if live := o.runs[r.Run]; live != nil {
			r.State = live.state
		}
	}
	return r
}

// connected returns the clients that have an agent waiting now.
func (d *dispatcher) connected() map[string]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := map[string]bool{}
	for id, c := range d.clients {
		if c.waiter != nil {
			ids[id] = true
		}
	}
	return ids
}
