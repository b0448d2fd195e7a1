package dispatch

import (
	"context"
	"maps"
	"sync"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
)

// book is the cache of what is in the store: the orders that have not ended, their runs, and
// the clients that wait. The others read and change it with mu held.
type book struct {
	Neighbours

	since   time.Time // it has been there since then
	mu      sync.Mutex
	orders  map[string]*order
	agents  map[string]*agent
	looks   uint64        // looks at orders in the store that were begun
	keeping int           // orders whose time agents keep
	total   int           // runs that have not ended
	timers  chan struct{} // the clock looks when it gets something
	stale   chan struct{} // tells that an order is to be read anew
	closed  bool          // the server stops: polls are answered at once
	woken   []*Waiter     // to be looked at
	look    chan struct{} // tells that woken is not empty
}

// know takes a stored order into the cache, without its runs. One that the cache has in a
// newer revision is left alone, one that has ended is dropped. mu is held.
func (d *book) know(policy *trust.Policy, status webjob.OrderStatus) error {
	o := d.orders[status.ID]
	if !status.EndedAt.IsZero() {
		d.drop(o)
		return nil
	}
	if o != nil && o.status.Revision > status.Revision {
		return nil
	}
	if o == nil {
		var err error
		if o, err = open(policy, status); err != nil {
			return err
		}
		d.orders[status.ID] = o
		if o.signed.Schedule != nil && o.signed.Schedule.Agent {
			d.keeping++
		}
	}
	if status.Counts = maps.Clone(status.Counts); status.Counts == nil { // the caller's goes on to whoever asked
		status.Counts = webjob.Counts{}
	}
	o.status = status
	return nil
}

// open reads what an order says.
func open(policy *trust.Policy, status webjob.OrderStatus) (*order, error) {
	signed, err := policy.OpenOrder(status.Envelope)
	if err != nil {
		return nil, err
	}
	o := &order{signed: signed, runs: map[string]*run{}, running: map[webjob.RunState]int64{}}
	if status.Within != "" {
		selector, err := webjob.ParseSelector(status.Within)
		if err != nil {
			return nil, err
		}
		o.within = &selector
	}
	return o, nil
}

// drop forgets an order and its runs; mu is held.
func (d *book) drop(o *order) {
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

func (d *book) list() []*order {
	d.mu.Lock()
	defer d.mu.Unlock()
	orders := make([]*order, 0, len(d.orders))
	for _, o := range d.orders {
		orders = append(orders, o)
	}
	return orders
}

func (d *book) isStale(o *order) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return o.stale
}

func (d *book) order(id string) *order {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.orders[id]
}

// agent returns what a client is to do, made when it is not there; mu is held.
func (d *book) agent(client string) *agent {
	a := d.agents[client]
	if a == nil {
		a = &agent{}
		d.agents[client] = a
	}
	return a
}

// attach takes a stored run that has not ended into the cache, as the look of that number
// saw it; mu is held.
func (d *book) attach(o *order, stored webjob.OrderRun, look uint64) {
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
	r := &run{order: o, id: stored.Run, client: stored.Client, at: stored.At, rank: stored.Rank, state: stored.State, until: stored.Until, since: look}
	o.runs[r.id] = r
	d.total++
	a := d.agent(r.client)
	a.insert(r)
	d.notify(a)
}

// detach forgets a run; mu is held.
func (d *book) detach(o *order, id string) {
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

// look is one look at an order in the store. What it saw may be of the past when it is
// taken over: runs may have ended, and others joined, and another look may have been faster.
type look struct {
	number uint64
	known  *order // nil when it was not in the cache
}

// begin begins a look. What makes the order stale from now on asks for another one.
func (d *book) begin(id string) look {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looks++
	o := d.orders[id]
	if o != nil {
		o.looking++
		o.stale = false
	}
	return look{d.looks, o}
}

// end ends it.
func (d *book) end(id string, l look, failed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l.known != nil {
		if l.known.looking--; l.known.looking == 0 {
			l.known.ended = nil
		}
	}
	if o := d.orders[id]; o != nil && failed {
		o.stale = true
	}
	d.tick()
}

// reload reads an order and its runs anew. When it cannot, [Dispatcher.Refresh] does
// later.
func (d *book) reload(ctx context.Context, id string) error {
	l := d.begin(id)
	err := d.read(ctx, id, l)
	d.end(id, l, err != nil)
	return err
}

func (d *book) read(ctx context.Context, id string, l look) error {
	policy, err := d.Policy()
	if err != nil {
		return err
	}
	var open []webjob.OrderRun
	status, err := d.Store.OpenOrder(ctx, id, func(r webjob.OrderRun) error { open = append(open, r); return nil })
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch o := d.orders[id]; {
	case o == nil && l.known != nil:
		return nil // it ended meanwhile
	case o != nil && (o.looked > l.number || o.status.Revision > status.Revision):
		return nil // who changed it meanwhile has looked since, or is about to
	}
	if err := d.know(policy, status); err != nil {
		return err
	}
	if o := d.orders[id]; o != nil {
		o.looked = l.number
		d.takeOver(o, open, l.number)
	}
	return nil
}

// takeOver takes over the runs that a look saw; mu is held.
func (d *book) takeOver(o *order, open []webjob.OrderRun, look uint64) {
	there := make(map[string]bool, len(open))
	for _, r := range open {
		there[r.Run] = true
		if state, ended := o.ended[r.Run]; ended { // after the look
			o.status.Counts[r.State]--
			o.status.Counts[state]++
		} else {
			d.attach(o, r, look)
		}
	}
	for id, r := range o.runs {
		switch {
		case there[id]:
		case r.since < look:
			d.detach(o, id)
		default: // it joined during the look
			o.stale = true
			tell(d.stale)
		}
	}
	for _, r := range o.runs {
		d.notify(d.agents[r.client])
	}
	if o.agentsKeepTime() {
		d.wakeAll()
	}
}

// tick makes the clock look again when the next thing is due.
func (d *book) tick() { tell(d.timers) }

func tell(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // told already
	}
}

// answer takes a client's request away and answers it; mu is held.
func (d *book) answer(a *agent, found Work) {
	if w := a.take(); w != nil {
		d.forget(w.Client.ID)
		go w.Answer(found) // it writes to the network
	}
}

// take returns the request that waits, which then waits no more.
func (a *agent) take() *Waiter {
	w := a.waiting
	a.waiting = nil
	if w == nil {
		return nil
	}
	a.lastPoll = time.Now()
	for _, timer := range []*time.Timer{w.end, w.soon} {
		if timer != nil {
			timer.Stop()
		}
	}
	return w
}

// forget drops a client that neither waits nor has anything to do; mu is held.
func (d *book) forget(client string) {
	if a := d.agents[client]; a != nil && a.waiting == nil && len(a.runs) == 0 {
		delete(d.agents, client)
	}
}

// notify has the request of a client looked at soon; mu is held.
func (d *book) notify(a *agent) {
	if a == nil || a.waiting == nil || a.waiting.queued {
		return
	}
	a.waiting.queued = true
	d.woken = append(d.woken, a.waiting)
	tell(d.look)
}

// wakeAll has every request looked at; mu is held.
func (d *book) wakeAll() {
	for _, a := range d.agents {
		d.notify(a)
	}
}

// Connected returns the clients that have a request waiting now.
func (d *book) Connected() map[string]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := map[string]bool{}
	for id, a := range d.agents {
		if a.waiting != nil {
			ids[id] = true
		}
	}
	return ids
}

// eachClient visits every client.
func (d *book) eachClient(ctx context.Context, visit func(webjob.Client)) error {
	page := webjob.Page{Limit: webjob.MaxPage}
	for {
		some, err := d.Store.ListClients(ctx, page)
		if err != nil {
			return err
		}
		for _, c := range some {
			visit(c)
		}
		if len(some) < page.Limit {
			return nil
		}
		page.After = some[len(some)-1].ID
	}
}
