package server

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/schedule"
	"webjob.dev/webjob/internal/trust"
)

// liveOrder is an order that may still give work.
type liveOrder struct {
	turning   sync.Mutex         // held while it is stopped or resumed, which takes steps
	status    webjob.OrderStatus // Counts holds runs that are not finished as queued
	signed    *trust.SignedOrder
	runs      map[string]*liveRun // not finished
	offered   int64
	running   int64
	nextStart time.Time // of the rate
	cancelled bool      // runs under way are to end
	opened    bool      // the canary passed and the rest was woken
}

// liveRun is a run that is not finished. Offered and running are what its client
// says; they are not stored.
type liveRun struct {
	order  *liveOrder
	run    string
	client string
	at     time.Time
	rank   int64
	state  webjob.RunState
	begun  time.Time // when its client said first that it runs
}

// liveClient is what one client is to do, and the poll that waits for it.
type liveClient struct {
	runs     []*liveRun // highest priority first, then oldest order first
	waiter   *waiter    // the poll that waits; nil when none does
	lastPoll time.Time
}

func (o *liveOrder) setState(r *liveRun, s webjob.RunState) {
	count := func(s webjob.RunState) *int64 {
		switch s {
		case webjob.RunOffered:
			return &o.offered
		case webjob.RunRunning:
			return &o.running
		}
		return new(int64)
	}
	*count(r.state)--
	*count(s)++
	if s == webjob.RunRunning && r.state != s {
		r.begun = now()
	}
	r.state = s
}

// counts returns the runs by state, with what clients say.
func (o *liveOrder) counts(stored webjob.Counts) webjob.Counts {
	counts := webjob.Counts{}
	for state, n := range stored {
		counts[state] = n
	}
	counts[webjob.RunQueued] -= o.offered + o.running
	counts[webjob.RunOffered], counts[webjob.RunRunning] = o.offered, o.running
	for state, n := range counts {
		if n <= 0 {
			delete(counts, state)
		}
	}
	return counts
}

// canaryPassed reports whether the rest may start.
func (o *liveOrder) canaryPassed() bool {
	return o.status.Canary == 0 || o.status.Waived || o.status.Counts[webjob.RunDone] >= min(o.status.Canary, o.status.Counts.Total())
}

// verdict says what the runs so far mean for the order: whether to stop it and why,
// or that it is done.
func (o *liveOrder) verdict() (webjob.OrderState, string) {
	failures := o.status.Counts.Failures() - o.status.Forgiven
	total := o.status.Counts.Total()
	once := o.status.Schedule == nil && !o.status.Late
	switch {
	case once && len(o.runs) == 0 && o.status.Counts[webjob.RunStopped] == 0:
		if o.status.Counts[webjob.RunExpired] > 0 {
			return webjob.OrderExpired, ""
		}
		return webjob.OrderDone, ""
	case failures > 0 && !o.canaryPassed():
		return webjob.OrderStopped, "a run of the canary did not succeed"
	case o.status.StopAt > 0 && failures*100 > o.status.StopAt*total:
		return webjob.OrderStopped, "more than " + percent(o.status.StopAt) + " of the runs failed"
	}
	return webjob.OrderOpen, ""
}

// mayStart reports whether a run may begin now, else from when on it may; a zero
// time means that something else has to happen first.
func (o *liveOrder) mayStart(r *liveRun, now time.Time) (bool, time.Time) {
	from := o.status.NotBefore
	if o.status.Schedule != nil {
		from = r.at.Add(o.signed.Times().Delay(r.client, r.at))
	}
	switch {
	case now.Before(from):
		return false, from
	case !o.canaryPassed() && r.rank >= o.status.Canary:
		return false, time.Time{}
	case now.Before(o.nextStart):
		return false, o.nextStart
	}
	return true, time.Time{}
}

// start takes a place of the rate.
func (o *liveOrder) start(r *liveRun, now time.Time) {
	if o.status.Rate > 0 {
		o.nextStart = later(now, o.nextStart).Add(time.Hour / time.Duration(o.status.Rate))
	}
	o.setState(r, webjob.RunOffered)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// reconcile takes what an agent says over into its runs. It returns the runs that
// are lost, those that it gave up of orders that were stopped, and those that are to end.
func (c *liveClient) reconcile(known map[string]webjob.RunState) (lost, stopped []*liveRun, cancel []string) {
	for _, r := range c.runs {
		state, held := known[r.run]
		switch {
		case !held:
			state = webjob.RunQueued
			if r.order.status.State == webjob.OrderStopped {
				stopped = append(stopped, r)
			}
		case state == webjob.RunLost:
			lost = append(lost, r)
			continue
		case state != webjob.RunRunning:
			state = webjob.RunOffered
		}
		r.order.setState(r, state)
		if held && r.order.cancelled {
			cancel = append(cancel, r.run)
		}
	}
	return lost, stopped, cancel
}

// pick chooses at most free runs to give out now. When there are none, again is the
// time at which asking again may help, zero when only an event can.
func (c *liveClient) pick(free int, now time.Time) (picked []*liveRun, again time.Time) {
	busy := map[string]bool{} // groups of serial orders
	for _, r := range c.runs {
		o := r.order
		if o.status.Serial {
			if busy[o.status.Group] {
				continue
			}
			busy[o.status.Group] = true // until it is finished, whether or not it may start
		}
		if len(picked) == free || r.state != webjob.RunQueued || o.status.State != webjob.OrderOpen {
			continue
		}
		may, from := o.mayStart(r, now)
		if !may {
			if !from.IsZero() && (again.IsZero() || from.Before(again)) {
				again = from
			}
			continue
		}
		o.start(r, now)
		picked = append(picked, r)
	}
	return picked, again
}

// insert keeps the runs in order.
func (c *liveClient) insert(r *liveRun) {
	at, _ := slices.BinarySearchFunc(c.runs, r, func(a, b *liveRun) int {
		return cmp.Or(cmp.Compare(b.order.status.Priority, a.order.status.Priority),
			cmp.Compare(a.order.status.Sequence, b.order.status.Sequence), a.at.Compare(b.at))
	})
	c.runs = slices.Insert(c.runs, at, r)
}

// times returns the order's schedule.
func (o *liveOrder) times() schedule.Times { return o.signed.Times() }
