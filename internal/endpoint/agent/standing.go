package agent

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// onTime is how late a time of a schedule may be kept without counting as missed.
const onTime = time.Minute

// keepInterval is how often the jobs of standing orders that are not at hand are asked
// for.
const keepInterval = time.Minute

// openInterval is how often standing orders are opened anew though nothing of them has
// changed: what this machine says of itself may have.
const openInterval = 10 * time.Minute

// clock keeps the time of standing orders, whether or not the server is there.
type clock struct {
	state     *endpoint.State
	runs      *runs
	log       *slog.Logger
	limit     time.Duration // for getting jobs
	connected func() bool
	wake      chan struct{} // of one; standing orders are to be looked at
	fetch     chan struct{} // of one; jobs are to be got

	mu       sync.Mutex
	standing [][]byte
	paused   bool
	changes  int                  // of standing
	refusals map[string]string    // by order: the last run that was refused, since they were opened
	wanted   []*trust.SignedOrder // whose jobs are to be at hand; nil until that is known

	opened opened // changed by keepTime alone
}

// opened are the standing orders as they were understood.
type opened struct {
	changes    int   // for which they were opened
	repository int64 // version of the timestamp
	at         time.Time
	orders     []opening
}

type opening struct {
	order    *trust.SignedOrder
	envelope []byte
}

// tick has the standing orders looked at again.
func (c *clock) tick() { signal(c.wake) }

func signal(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default: // it will be looked at anyway
	}
}

// current returns the envelopes, and whether they are paused.
func (c *clock) current() (standing [][]byte, paused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.standing, c.paused
}

// replace takes over a new set and keeps it.
func (c *clock) replace(standing [][]byte) error {
	if err := c.state.Standing.Replace(standing); err != nil {
		return err
	}
	c.mu.Lock()
	c.standing = standing
	c.changes++
	if len(standing) == 0 { // their jobs are forgotten
		c.wanted = []*trust.SignedOrder{}
		signal(c.fetch)
	}
	c.mu.Unlock()
	c.log.Info("standing orders taken over", "orders", len(standing))
	c.tick()
	return nil
}

// pause starts nothing until it is called with false.
func (c *clock) pause(paused bool) {
	c.mu.Lock()
	changed := c.paused != paused
	c.paused = paused
	c.mu.Unlock()
	if changed {
		c.tick()
	}
}

// keepTime starts the runs of standing orders at their times.
func (c *clock) keepTime(ctx context.Context) {
	for ctx.Err() == nil {
		next := c.startDue(time.Now())
		timer := time.NewTimer(max(time.Until(next), 10*time.Millisecond))
		select {
		case <-ctx.Done():
		case <-c.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// startDue starts what is due and returns when to look again.
func (c *clock) startDue(now time.Time) time.Time {
	next := now.Add(time.Minute)
	standing, paused := c.current()
	if paused || len(standing) == 0 {
		return next
	}
	e, err := c.state.Enrolments.With(endpoint.TargetGet)
	if err == nil {
		err = c.open(e)
	}
	if err != nil {
		c.log.Warn("standing orders wait", "error", err)
		return next
	}
	for _, o := range c.opened.orders {
		if soon := c.startOrder(o.order, o.envelope, e.ID, now); soon.Before(next) {
			next = soon
		}
	}
	return next
}

// open understands the standing orders, with the policy that was fresh last. Each run is
// judged again, with a fresh one when the server is there. Orders that are for others
// are left alone: a server could fill this machine with their jobs.
func (c *clock) open(e *endpoint.Enrolment) error {
	r, err := c.state.Repository.AsSeen(e)
	if err != nil {
		return err
	}
	policy, err := r.Policy()
	if err != nil {
		return err
	}
	subject, err := e.Subject(r)
	if err != nil {
		return err
	}
	c.mu.Lock()
	standing, changes := c.standing, c.changes
	c.mu.Unlock()
	if o := c.opened; o.changes == changes && o.repository == r.Timestamp() && time.Since(o.at) < openInterval {
		return nil
	}
	next := opened{changes: changes, repository: r.Timestamp(), at: time.Now()}
	var last error
	keep := []*trust.SignedOrder{}
	for _, envelope := range standing {
		order, err := policy.OpenOrder(envelope)
		if err == nil && (order.Schedule == nil || !order.Schedule.Agent || !order.Selects(subject)) {
			err = webjob.Errorf(webjob.Refused, "order %s is no standing order of this client", order.ID)
		}
		if err != nil {
			last = err
			continue
		}
		next.orders = append(next.orders, opening{order, envelope})
		if policy.Permits(order, subject) == nil && time.Now().Before(order.Expires) {
			keep = append(keep, order)
		}
	}
	if last != nil {
		c.log.Warn("standing orders are left alone", "orders", len(standing)-len(next.orders), "error", last)
	}
	c.mu.Lock()
	c.opened, c.wanted, c.refusals = next, keep, map[string]string{}
	c.mu.Unlock()
	signal(c.fetch)
	return nil
}

// refused notes that a run was refused. The refusal is a result, and one is enough.
func (c *clock) refused(run string) {
	order, _, _, ordered := webjob.ParseRunID(run)
	c.mu.Lock()
	defer c.mu.Unlock()
	if ordered && slices.ContainsFunc(c.opened.orders, func(o opening) bool { return o.order.ID == order }) {
		c.refusals[order] = run
	}
}

func (c *clock) wasRefused(order, run string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refusals[order] == run
}

// keepJobs gets the jobs of standing orders while the server is there. It has a
// goroutine of its own: a slow server delays no order that is due.
func (c *clock) keepJobs(ctx context.Context) {
	timer := time.NewTicker(keepInterval)
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-c.fetch:
		case <-timer.C:
		}
		c.mu.Lock()
		orders := c.wanted
		c.mu.Unlock()
		if orders == nil || !c.connected() {
			continue
		}
		if err := c.getJobs(ctx, orders); err != nil && ctx.Err() == nil {
			c.log.Warn("a job of a standing order is not at hand", "error", err)
		}
	}
}

func (c *clock) getJobs(ctx context.Context, orders []*trust.SignedOrder) error {
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	e, err := c.state.Enrolments.With(endpoint.TargetGet)
	if err != nil {
		return err
	}
	r, err := c.state.Repository.Read(e, time.Now())
	if err != nil {
		return err
	}
	return c.state.Kept.Keep(ctx, e, r, orders)
}

// startOrder starts the run of the latest time of the order that is due, and returns
// when the next one is.
func (c *clock) startOrder(order *trust.SignedOrder, envelope []byte, client string, now time.Time) time.Time {
	times := order.Times()
	begin := order.NotBefore
	if order.Created.After(begin) {
		begin = order.Created
	}
	next := times.Next(now)
	next = next.Add(times.Delay(client, next))
	at := times.Latest(begin.Add(-time.Second), now)
	if at.IsZero() || !now.Before(order.Expires) {
		return next
	}
	due := at.Add(times.Delay(client, at))
	switch run := order.RunID(client, at); {
	case c.state.Claims.Has(run) || c.runs.isHeld(run) || c.wasRefused(order.ID, run):
	case now.Before(due):
		return due
	case now.Sub(due) > onTime && order.Schedule.Missed != webjob.MissedRun:
	case !c.runs.hasRoom():
		return now.Add(time.Second)
	default:
		c.runs.start(wire.Offer{Run: run, At: at, Order: envelope})
	}
	return next
}
