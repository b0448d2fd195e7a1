package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
)

// offerTime is how long an offered run is its client's to take. An agent that holds a run
// says so with every poll, and the offer lasts longer.
const offerTime = 6 * time.Minute

// Store is what the room needs of the store.
type Store interface {
	webjob.Orders
	Client(ctx context.Context, id string) (webjob.Client, error)
	ListClients(ctx context.Context, p webjob.Page) ([]webjob.Client, error)
	JobVersion(ctx context.Context, name string, version int64) (webjob.JobVersion, error)
}

// Neighbours is what the room needs of others.
type Neighbours struct {
	Store Store
	// Policy returns the signed policy; NotFound before there is one.
	Policy func() (*trust.Policy, error)
	// News returns what triggers are to be told of the end of an order; Wake is called
	// once that is stored.
	News func(webjob.OrderStatus) []webjob.Delivery
	Wake func()
	Log  *slog.Logger
}

// Dispatcher keeps the orders that have not ended and the clients that wait for work.
type Dispatcher struct {
	Neighbours

	since   time.Time // it has been there since then
	mu      sync.Mutex
	orders  map[string]*order
	agents  map[string]*agent
	keeping int           // orders whose time agents keep
	total   int           // runs that have not ended
	timers  chan struct{} // the clock looks when it gets something
	stale   chan struct{} // tells that an order is to be read anew
	closed  bool          // the server stops: polls are answered at once
	woken   []*Waiter     // to be looked at
	look    chan struct{} // tells that woken is not empty
}

// New returns a dispatcher that knows no orders yet; see [Dispatcher.Load].
func New(n Neighbours) *Dispatcher {
	return &Dispatcher{
		Neighbours: n, since: time.Now(), orders: map[string]*order{}, agents: map[string]*agent{}, timers: make(chan struct{}, 1), stale: make(chan struct{}, 1),
		look: make(chan struct{}, 1),
	}
}

// Load takes over the orders that have not ended. Without a policy there can be none.
func (d *Dispatcher) Load(ctx context.Context) error {
	policy, err := d.Policy()
	if webjob.KindOf(err) == webjob.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	for _, state := range []webjob.OrderState{webjob.OrderPending, webjob.OrderOpen, webjob.OrderStopped} {
		filter := webjob.OrderFilter{State: state, Page: webjob.Page{Limit: webjob.MaxPage}}
		for {
			orders, err := d.Store.ListOrders(ctx, filter)
			if err != nil {
				return err
			}
			for _, o := range orders {
				if err := d.know(policy, o); err != nil {
					d.Log.Warn("an order is left alone", "order", o.ID, "error", err)
				}
			}
			if len(orders) < filter.Page.Limit {
				break
			}
			filter.Page.After = sequenceText(orders[len(orders)-1])
		}
	}
	err = d.Store.OpenRuns(ctx, "", func(r webjob.OrderRun) error {
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
		if err := errors.Join(d.judge(ctx, o), d.join(ctx, o)); err != nil {
			return err
		}
	}
	return nil
}

// know takes a stored order into the cache, without its runs. One that the cache has in a
// newer revision is left alone, one that has ended is dropped.
func (d *Dispatcher) know(policy *trust.Policy, status webjob.OrderStatus) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.orders[status.ID]
	if !status.EndedAt.IsZero() {
		d.drop(o)
		return nil
	}
	if o != nil && o.status.Revision > status.Revision {
		return nil
	}
	signed, err := policy.OpenOrder(status.Envelope)
	if err != nil {
		return err
	}
	var within *webjob.Selector
	if status.Within != "" {
		selector, err := webjob.ParseSelector(status.Within)
		if err != nil {
			return err
		}
		within = &selector
	}
	if status.Counts = maps.Clone(status.Counts); status.Counts == nil { // the caller's goes on to whoever asked
		status.Counts = webjob.Counts{}
	}
	if o == nil {
		o = &order{runs: map[string]*run{}, running: map[webjob.RunState]int64{}}
		d.orders[status.ID] = o
		if status.Schedule != nil && status.Schedule.Agent {
			d.keeping++
		}
	}
	o.status, o.signed, o.within = status, signed, within
	return nil
}

// drop forgets an order and its runs; mu is held.
func (d *Dispatcher) drop(o *order) {
	if o == nil || d.orders[o.status.ID] != o {
		return
	}
	for id := range o.runs {
		d.detach(o, id)
	}
	delete(d.orders, o.status.ID)
	if o.agentsKeepTime() {
		d.keeping--
		d.wakeAll()
	}
}

func (d *Dispatcher) list() []*order {
	d.mu.Lock()
	defer d.mu.Unlock()
	orders := make([]*order, 0, len(d.orders))
	for _, o := range d.orders {
		orders = append(orders, o)
	}
	return orders
}

func (d *Dispatcher) order(id string) *order {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.orders[id]
}

// agent returns what a client is to do, made when it is not there; mu is held.
func (d *Dispatcher) agent(client string) *agent {
	a := d.agents[client]
	if a == nil {
		a = &agent{}
		d.agents[client] = a
	}
	return a
}

// attach takes a stored run that has not ended into the cache; mu is held.
func (d *Dispatcher) attach(o *order, stored webjob.OrderRun) {
	if r := o.runs[stored.Run]; r != nil {
		if r.state != stored.State {
			running := r.running
			r.says(false)
			r.state = stored.State
			r.says(running)
		}
		r.rank, r.until = stored.Rank, stored.Until
		return
	}
	r := &run{order: o, id: stored.Run, client: stored.Client, at: stored.At, rank: stored.Rank, state: stored.State, until: stored.Until}
	o.runs[r.id] = r
	d.total++
	a := d.agent(r.client)
	a.insert(r)
	d.notify(a)
}

// detach forgets a run; mu is held.
func (d *Dispatcher) detach(o *order, id string) {
	r := o.runs[id]
	if r == nil {
		return
	}
	r.says(false)
	delete(o.runs, id)
	d.total--
	a := d.agents[r.client]
	for i, other := range a.runs {
		if other == r {
			a.runs = append(a.runs[:i], a.runs[i+1:]...)
			break
		}
	}
	if a.waiting != nil {
		d.notify(a) // the next one of a serial group
	}
	d.forget(r.client)
}

// reload reads an order and its runs anew. When it cannot, [Dispatcher.Refresh] does
// later.
func (d *Dispatcher) reload(ctx context.Context, id string) error {
	err := d.read(ctx, id)
	d.mu.Lock()
	defer d.mu.Unlock()
	if o := d.orders[id]; o != nil {
		o.stale = err != nil
	}
	d.tick()
	return err
}

func (d *Dispatcher) read(ctx context.Context, id string) error {
	policy, err := d.Policy()
	if err != nil {
		return err
	}
	status, err := d.Store.Order(ctx, id)
	if err != nil {
		return err
	}
	var open []webjob.OrderRun
	if status.EndedAt.IsZero() {
		if err := d.Store.OpenRuns(ctx, id, func(r webjob.OrderRun) error { open = append(open, r); return nil }); err != nil {
			return err
		}
	}
	if err := d.know(policy, status); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.orders[id]
	if o == nil {
		return nil
	}
	there := make(map[string]bool, len(open))
	for _, r := range open {
		there[r.Run] = true
		d.attach(o, r)
	}
	for run := range o.runs {
		if !there[run] {
			d.detach(o, run)
		}
	}
	for _, r := range o.runs {
		d.notify(d.agents[r.client])
	}
	if o.agentsKeepTime() {
		d.wakeAll()
	}
	return nil
}

// tick makes the clock look again when the next thing is due.
func (d *Dispatcher) tick() { tell(d.timers) }

func tell(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // told already
	}
}
