package dispatch

import (
	"context"
	"errors"
	"log/slog"
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
	*book
	changes
	waits
	clock
	views
}

// New returns a dispatcher that knows no orders yet; see [Dispatcher.Load].
func New(n Neighbours) *Dispatcher {
	b := &book{
		Neighbours: n, since: time.Now(), orders: map[string]*order{}, agents: map[string]*agent{},
		timers: make(chan struct{}, 1), stale: make(chan struct{}, 1), look: make(chan struct{}, 1),
	}
	c := changes{b}
	return &Dispatcher{book: b, changes: c, waits: waits{c}, clock: clock{c}, views: views{b}}
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
				d.mu.Lock()
				err := d.know(policy, o)
				d.mu.Unlock()
				if err != nil {
					d.Log.Warn("an order is left alone", "order", o.ID, "error", err)
				}
			}
			if len(orders) < filter.Page.Limit {
				break
			}
			filter.Page.After = sequenceText(orders[len(orders)-1])
		}
	}
	err = d.Store.OpenRuns(ctx, func(r webjob.OrderRun) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if o := d.orders[r.Order]; o != nil {
			d.attach(o, r, d.looks)
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
