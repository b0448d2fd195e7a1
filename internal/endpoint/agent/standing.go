package agent

import (
	"context"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// onTime is how late a time of a schedule may be kept without counting as missed.
const onTime = time.Minute

// tick lets the standing orders be looked at again.
func (a *Agent) tick() {
	select {
	case a.wake <- struct{}{}:
	default: // it will be looked at anyway
	}
}

// keepTime starts the runs of standing orders at their times, whether or not the
// server is there.
func (a *Agent) keepTime(ctx context.Context) {
	for ctx.Err() == nil {
		next := a.startDue(time.Now())
		timer := time.NewTimer(max(time.Until(next), 10*time.Millisecond))
		select {
		case <-ctx.Done():
		case <-a.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// startDue starts what is due and returns when to look again.
func (a *Agent) startDue(now time.Time) time.Time {
	next := now.Add(time.Minute)
	a.mu.Lock()
	standing, paused := a.standing, a.paused
	a.mu.Unlock()
	if paused || len(standing) == 0 {
		return next
	}
	e, err := a.state.Enrolments.With(endpoint.TargetGet)
	if err != nil {
		a.log.Warn("standing orders wait", "error", err)
		return next
	}
	policy, err := a.standingPolicy(e)
	if err != nil {
		a.log.Warn("standing orders wait", "error", err)
		return next
	}
	var orders []*trust.SignedOrder
	for _, envelope := range standing {
		order, err := policy.OpenOrder(envelope)
		if err != nil || order.Schedule == nil || !order.Schedule.Agent {
			a.log.Warn("a standing order is left alone", "error", err)
			continue
		}
		orders = append(orders, order)
		if soon := a.startOrder(order, envelope, e.ID, now); soon.Before(next) {
			next = soon
		}
	}
	a.keepJobs(e, orders)
	return next
}

// standingPolicy returns the policy with which standing orders are looked at: the last
// one that was fresh. Each run is judged again, with a fresh one when the server is
// there.
func (a *Agent) standingPolicy(e *endpoint.Enrolment) (*trust.Policy, error) {
	r, err := a.state.Repository.AsSeen(e)
	if err != nil {
		return nil, err
	}
	return r.Policy()
}

// keepJobs gets the jobs of standing orders while the server is there.
func (a *Agent) keepJobs(e *endpoint.Enrolment, orders []*trust.SignedOrder) {
	a.mu.Lock()
	connected := a.status.State == StateConnected
	a.mu.Unlock()
	if !connected {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(a.settings.GetLimit))
	defer cancel()
	r, err := a.state.Repository.Read(e, time.Now())
	if err == nil {
		err = a.state.Kept.Keep(ctx, e, r, orders)
	}
	if err != nil {
		a.log.Warn("a job of a standing order is not at hand", "error", err)
	}
}

// startOrder starts the run of the latest time of the order that is due, and returns
// when the next one is.
func (a *Agent) startOrder(order *trust.SignedOrder, envelope []byte, client string, now time.Time) time.Time {
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
	case a.state.Claims.Has(run) || a.isHeld(run):
	case now.Before(due):
		return due
	case now.Sub(due) > onTime && order.Schedule.Missed != webjob.MissedRun:
	case !a.free():
		return now.Add(time.Second)
	default:
		a.start(wire.Offer{Run: run, At: at, Order: envelope})
	}
	return next
}

func (a *Agent) free() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return int64(len(a.children)) < a.settings.Agent.MaxRuns
}

func (a *Agent) isHeld(run string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Now().Before(a.held[run])
}
