package dispatch

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/schedule"
	"webjob.dev/webjob/internal/trust"
)

// order is an order that has not ended, as the cache has it.
type order struct {
	signed *trust.SignedOrder // what it says; never changes
	within *webjob.Selector   // nor does this; nil for all clients

	// mu of the book guards the rest.
	status  webjob.OrderStatus
	runs    map[string]*run // queued and offered ones
	running map[webjob.RunState]int64
	started bool                       // the canary has passed, and the rest was told
	stale   bool                       // is to be read anew: the store could not be asked
	looked  uint64                     // the look that the rest is of
	looking int                        // looks that are under way
	ended   map[string]webjob.RunState // runs that ended during those
}

// run is a run that is queued or offered.
type run struct {
	order    *order
	id       string
	client   string
	at       time.Time
	rank     int64
	state    webjob.RunState // in the store
	until    time.Time       // when its offer ends
	offering bool            // its offer is being stored
	running  bool            // its client says so
	begun    time.Time       // when its client said so first
	since    uint64          // the newest look when it came into the cache
}

// agent is what one client is to do, and its request that waits for it.
type agent struct {
	runs     []*run // highest priority first, then oldest order first
	waiting  *Waiter
	lastPoll time.Time
}

// selects reports whether the order is for a client.
func (o *order) selects(c webjob.Client) bool {
	subject := c.Subject()
	return o.signed.Selects(subject) && (o.within == nil || o.within.Matches(subject))
}

func (o *order) agentsKeepTime() bool { return o.status.Schedule != nil && o.status.Schedule.Agent }

// noteEnd remembers that a run has ended, for the looks that may have seen it before.
func (o *order) noteEnd(run string, state webjob.RunState) {
	if o.looking == 0 {
		return
	}
	if o.ended == nil {
		o.ended = map[string]webjob.RunState{}
	}
	o.ended[run] = state
}

// says takes over whether a client says that it runs a run.
func (r *run) says(running bool) {
	if running == r.running {
		return
	}
	if r.running = running; running {
		r.begun = now()
		r.order.running[r.state]++
		return
	}
	r.order.running[r.state]--
}

// move takes over that a run is in another state in the store.
func (r *run) move(to webjob.RunState) {
	running := r.running
	r.says(false)
	r.order.status.Counts[r.state]--
	r.order.status.Counts[to]++
	r.state = to
	if running && to == webjob.RunOffered {
		r.says(true)
	}
}

// counts returns the runs by state, with what clients say.
func (o *order) counts(stored webjob.Counts) webjob.Counts {
	counts := maps.Clone(stored)
	if counts == nil {
		counts = webjob.Counts{}
	}
	for state, n := range o.running {
		counts[state] -= n
		counts[webjob.RunRunning] += n
	}
	maps.DeleteFunc(counts, func(_ webjob.RunState, n int64) bool { return n <= 0 })
	return counts
}

// canaryPassed reports whether the rest may start.
func canaryPassed(o webjob.OrderStatus) bool {
	return o.Canary == 0 || o.Waived || o.Counts[webjob.RunDone] >= min(o.Canary, o.Counts.Total())
}

// tooManyFailures returns why an order is to be stopped, "" when it is not.
func tooManyFailures(o webjob.OrderStatus) string {
	failures := o.Counts.Failures() - o.Forgiven
	switch {
	case failures > 0 && !canaryPassed(o):
		return "a run of the canary did not succeed"
	case o.StopAt > 0 && failures*100 > o.StopAt*o.Counts.Total():
		return "more than " + strconv.FormatInt(o.StopAt, 10) + " % of the runs failed"
	}
	return ""
}

// allRun reports whether an order that runs once has no run left.
func allRun(o webjob.OrderStatus) bool {
	return o.Schedule == nil && !o.Late && o.Counts[webjob.RunQueued]+o.Counts[webjob.RunOffered]+o.Counts[webjob.RunStopped] == 0
}

// mayStart reports whether a run may begin now, else from when on it may; a zero
// time means that something else has to happen first.
func (o *order) mayStart(r *run, at time.Time) (bool, time.Time) {
	from := o.status.NotBefore
	if o.status.Schedule != nil {
		from = r.at.Add(o.signed.Times().Delay(r.client, r.at))
	}
	switch {
	case at.Before(from):
		return false, from
	case !canaryPassed(o.status) && r.rank >= o.status.Canary:
		return false, time.Time{}
	case at.Before(o.status.NextStart):
		return false, o.status.NextStart
	}
	return true, time.Time{}
}

// offer makes the offer of a run, and takes a place of the rate for it. One that was
// offered before, and has not arrived, has its place already.
func (o *order) offer(r *run, at time.Time) webjob.Offer {
	r.offering = true
	offer := webjob.Offer{Order: o.status.ID, Run: r.id}
	if o.status.Rate > 0 && r.state == webjob.RunQueued {
		offer.Start = o.status.NextStart
		offer.NextStart = later(at, o.status.NextStart).Add(time.Hour / time.Duration(o.status.Rate)).Truncate(time.Microsecond)
		o.status.NextStart = offer.NextStart
	}
	return offer
}

// times returns the order's schedule.
func (o *order) times() schedule.Times { return o.signed.Times() }

// word is what an agent says of the runs that it is to do.
type word struct {
	lost    []*run
	notHeld []*run // offered to it, and it has not got them; their order was stopped
	held    []*run // whose offer is to be noted, or to last longer
	cancel  []string
}

// hear takes over what an agent says. What is to change in the store for it is returned.
func (a *agent) hear(known map[string]webjob.RunState, at time.Time) word {
	var w word
	for _, r := range a.runs {
		said, holds := known[r.id]
		switch {
		case holds && said == webjob.RunLost:
			w.lost = append(w.lost, r)
			continue
		case holds && (r.state == webjob.RunQueued || r.until.Sub(at) < offerTime/2):
			w.held = append(w.held, r)
		case !holds && r.state == webjob.RunOffered && r.order.status.State == webjob.OrderStopped:
			w.notHeld = append(w.notHeld, r)
		}
		r.says(holds && said == webjob.RunRunning)
		if holds && r.order.status.Cancelled {
			w.cancel = append(w.cancel, r.id)
		}
	}
	return w
}

// offered is a run whose offer is to be stored.
type offered struct {
	run   *run
	offer webjob.Offer
}

// pick chooses at most free runs to offer now. When there are none, again is the
// time at which asking again may help, zero when only an event can.
func (a *agent) pick(free int, known map[string]webjob.RunState, at time.Time) (picked []offered, again time.Time) {
	busy := map[string]bool{} // groups of serial orders
	for _, r := range a.runs {
		o := r.order
		if o.status.Serial {
			if busy[o.status.Group] {
				continue
			}
			busy[o.status.Group] = true // until it is finished, whether or not it may start
		}
		_, holds := known[r.id]
		if len(picked) == free || holds || r.offering || o.status.State != webjob.OrderOpen {
			continue
		}
		may, from := r.state == webjob.RunOffered, time.Time{}
		if !may {
			may, from = o.mayStart(r, at)
		}
		if !may {
			if !from.IsZero() && (again.IsZero() || from.Before(again)) {
				again = from
			}
			continue
		}
		picked = append(picked, offered{run: r, offer: o.offer(r, at)})
	}
	return picked, again
}

// insert keeps the runs in order.
func (a *agent) insert(r *run) {
	at, _ := slices.BinarySearchFunc(a.runs, r, func(a, b *run) int {
		return cmp.Or(cmp.Compare(b.order.status.Priority, a.order.status.Priority),
			cmp.Compare(a.order.status.Sequence, b.order.status.Sequence), a.at.Compare(b.at))
	})
	a.runs = slices.Insert(a.runs, at, r)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// now is the time that is stored: UTC, to the microsecond.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
