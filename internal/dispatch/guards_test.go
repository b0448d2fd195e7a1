package dispatch

import (
	"testing"
	"time"

	"webjob.dev/webjob"
)

// wants checks how many runs a client is given that asks without waiting.
func (w *world) wants(d *Dispatcher, client string, free int, known map[string]webjob.RunState, want int) Work {
	w.t.Helper()
	found := w.poll(d, client, free, known)
	if len(found.Offers) != want {
		w.t.Fatalf("%s got %v, want %d runs", client, found.Offers, want)
	}
	return found
}

// held returns what a client says that holds these runs.
func held(state webjob.RunState, runs ...string) map[string]webjob.RunState {
	known := map[string]webjob.RunState{}
	for _, run := range runs {
		known[run] = state
	}
	return known
}

// A client is given as many runs as it has room for.
func TestClientGetsWhatItHasRoomFor(t *testing.T) {
	w := newWorld(t, 1, "web1")
	d := w.dispatcher(w.store)
	for _, id := range []string{"o1", "o2", "o3"} {
		w.create(d, w.order(id), "alice")
	}
	w.wants(d, "web1", 0, nil, 0)
	w.wants(d, "web1", 1, nil, 1)
	w.wants(d, "web1", 2, held(webjob.RunRunning, "o1.web1"), 2)
}

// Of a serial group a client has one run at a time, and the next when it has ended.
func TestSerialRunsFollowEachOther(t *testing.T) {
	w := newWorld(t, 1, "web1")
	d := w.dispatcher(w.store)
	for _, id := range []string{"o1", "o2"} {
		w.create(d, w.order(id, func(o *webjob.Order) { o.Serial, o.Group = true, "g" }), "alice")
	}
	w.wants(d, "web1", 9, nil, 1)
	w.wants(d, "web1", 9, held(webjob.RunRunning, "o1.web1"), 0)
	w.result(d, "o1", "web1", webjob.Succeeded)
	w.wants(d, "web1", 9, nil, 1)
}

// Of an order that is not open nothing is even tried.
func TestNothingOfClosedOrdersIsTried(t *testing.T) {
	w := newWorld(t, 2, "web1")
	s := &interleaved{Store: w.store}
	d := w.dispatcher(s)
	w.create(d, w.order("o1"), "alice")
	s.before = func(call string) {
		if call == "OfferRuns" {
			t.Error("it was tried to offer a run of a pending order")
		}
	}
	w.wants(d, "web1", 9, nil, 0)
}

// The rest waits for the canary.
func TestRestWaitsForTheCanary(t *testing.T) {
	w := newWorld(t, 1, "web1", "web2")
	d := w.dispatcher(w.store)
	w.create(d, w.order("o1", func(o *webjob.Order) { o.Canary = 1 }), "alice")
	w.wants(d, "web2", 9, nil, 0)
	w.wants(d, "web1", 9, nil, 1)
	w.wants(d, "web2", 9, nil, 0)
	w.result(d, "o1", "web1", webjob.Succeeded)
	w.wants(d, "web2", 9, nil, 1)
}

// Who joins late is not of the canary, and does not become so when one of it is away.
func TestLateJoinersAreNotOfTheCanary(t *testing.T) {
	w := newWorld(t, 1, "web1")
	d := w.dispatcher(w.store)
	w.create(d, w.order("o1", func(o *webjob.Order) { o.Canary, o.Late = 1, true }), "alice")
	w.enroll("web2")
	w.must(d.Join(t.Context(), "web2"))
	c, err := w.store.Client(t.Context(), "web2")
	w.must(err)
	w.must(d.Wait(t.Context(), &Waiter{Client: c, Free: 1, Answer: func(found Work) { t.Errorf("web2 got %v", found) }}, time.Hour))
	d.since = d.since.Add(-2 * awayTime)
	d.keepTime(t.Context())
	detail, err := d.Detail(t.Context(), "o1")
	w.must(err)
	if len(detail.CanaryRuns) != 1 || detail.CanaryRuns[0].Client != "web1" {
		t.Errorf("the canary is %+v", detail.CanaryRuns)
	}
}

// A rate lets so many runs begin; one whose offer did not arrive is offered again in its
// own place.
func TestRateIsKept(t *testing.T) {
	w := newWorld(t, 1, "web1", "web2")
	d := w.dispatcher(w.store)
	w.create(d, w.order("o1", func(o *webjob.Order) { o.Rate = 1 }), "alice")
	w.wants(d, "web1", 9, nil, 1)
	w.wants(d, "web2", 9, nil, 0)
	next := w.stored("o1").NextStart
	w.wants(d, "web1", 9, nil, 1)
	if got := w.stored("o1").NextStart; !got.Equal(next) || time.Until(got) < 50*time.Minute {
		t.Errorf("the next start was at %s and is at %s", next, got)
	}
}

// What runs is told to end when its order is stopped so, and only then.
func TestStoppedRunsAreToldToEnd(t *testing.T) {
	w := newWorld(t, 1, "web1")
	d := w.dispatcher(w.store)
	for id, running := range map[string]bool{"o1": true, "o2": false} {
		w.create(d, w.order(id), "alice")
		w.wants(d, "web1", 1, nil, 1)
		w.must(d.Stop(t.Context(), id, "why", running))
		found := w.wants(d, "web1", 1, held(webjob.RunRunning, id+".web1"), 0)
		if told := len(found.Cancel) == 1; told != running {
			t.Errorf("order %s: told to end %v, want %v", id, found.Cancel, running)
		}
		w.result(d, id, "web1", webjob.Failed)
	}
}

// The offer of a run lasts as long as its client says that it holds it, and is given up with
// the window of its order when the client says no more.
func TestOffersLastWhileTheyAreHeld(t *testing.T) {
	w := newWorld(t, 1, "web1")
	d := w.dispatcher(w.store)
	w.create(d, w.order("o1"), "alice")
	w.wants(d, "web1", 1, nil, 1)
	soonOver := func(until time.Time) {
		w.must(w.store.HoldRuns(t.Context(), []string{"o1.web1"}, until))
		w.must(d.reload(t.Context(), "o1"))
	}
	soonOver(now().Add(time.Minute))
	w.wants(d, "web1", 1, held(webjob.RunRunning, "o1.web1"), 0)
	_, err := w.store.OpenOrder(t.Context(), "o1", func(r webjob.OrderRun) error {
		if time.Until(r.Until) < offerTime/2 {
			t.Errorf("the offer ends at %s", r.Until)
		}
		return nil
	})
	w.must(err)
	w.must(d.expire(t.Context(), d.order("o1")))
	if counts := w.stored("o1").Counts; counts[webjob.RunOffered] != 1 {
		t.Errorf("an offer that lasts was given up: %v", counts)
	}
	soonOver(now().Add(-time.Minute))
	w.must(d.expire(t.Context(), d.order("o1")))
	w.isState("o1", webjob.OrderExpired)
}

// A server that knows of a stop, and not of what followed, gives up no run.
func TestRunsOfResumedOrdersAreNotGivenUp(t *testing.T) {
	w := newWorld(t, 1, "web1")
	d, other := w.dispatcher(w.store), w.dispatcher(w.store)
	w.create(d, w.order("o1"), "alice")
	w.wants(d, "web1", 1, nil, 1)
	w.must(d.Stop(t.Context(), "o1", "why", false))
	w.must(other.Load(t.Context()))
	w.must(other.Resume(t.Context(), "o1"))
	w.poll(d, "web1", 1, nil)
	if counts := w.stored("o1").Counts; counts[webjob.RunOffered] != 1 {
		t.Errorf("got %v", counts)
	}
}

// Of two servers that both think that a time of a schedule has come, one makes its runs, and
// the other one does not give them up for it.
func TestTimeOfAScheduleComesOnce(t *testing.T) {
	w := newWorld(t, 1, "web1")
	d, other := w.dispatcher(w.store), w.dispatcher(w.store)
	begin := now().Truncate(time.Second).Add(-time.Minute / 2)
	o := w.order("o1", func(o *webjob.Order) {
		o.Created, o.NotBefore = begin, begin
		o.Schedule = &webjob.Schedule{At: "@every 10m", Missed: webjob.MissedRun}
	})
	_, err := w.store.AddOrder(t.Context(), webjob.OrderStatus{Order: *o, State: webjob.OrderOpen, Envelope: w.sign(o, "alice"), NextAt: begin}, nil)
	w.must(err)
	w.must(d.Load(t.Context()))
	w.must(other.Load(t.Context()))
	d.keepTime(t.Context())
	other.keepTime(t.Context())
	if counts := w.stored("o1").Counts; counts.Total() != 1 || counts[webjob.RunQueued] != 1 {
		t.Errorf("got %v", counts)
	}
}

// A version that was withdrawn begins nowhere any more: not at the next time of a schedule,
// nor on who joins late.
func TestWithdrawnVersionBeginsNowhere(t *testing.T) {
	w := newWorld(t, 1, "web1")
	d := w.dispatcher(w.store)
	begin := now().Truncate(time.Second).Add(-time.Minute / 2)
	o := w.order("o1", func(o *webjob.Order) {
		o.Created, o.NotBefore = begin, begin
		o.Schedule = &webjob.Schedule{At: "@every 10m", Missed: webjob.MissedRun}
	})
	_, err := w.store.AddOrder(t.Context(), webjob.OrderStatus{Order: *o, State: webjob.OrderOpen, Envelope: w.sign(o, "alice"), NextAt: begin}, nil)
	w.must(err)
	w.must(d.Load(t.Context()))
	w.create(d, w.order("late", func(o *webjob.Order) { o.Late = true }), "alice")
	w.must(w.store.ChangeRepository(t.Context(), webjob.RepositoryChange{Listed: map[string][]int64{"job": nil}}, now()))
	d.keepTime(t.Context())
	w.isState("o1", webjob.OrderStopped)
	w.enroll("web2")
	w.must(d.Join(t.Context(), "web2"))
	if total := w.stored("o1").Counts.Total() + w.stored("late").Counts.Total(); total != 1 {
		t.Errorf("%d runs were made, want the one from before", total)
	}
}

// An offer that could not be stored takes no place of the rate.
func TestFailedOfferTakesNoPlace(t *testing.T) {
	w := newWorld(t, 1, "web1")
	s := &interleaved{Store: w.store}
	d := w.dispatcher(s)
	w.create(d, w.order("once", func(o *webjob.Order) { o.Rate = 1 }), "alice")
	s.fails = s.calls + 1
	w.wants(d, "web1", 1, nil, 0)
	settle(t, d)
	w.wants(d, "web1", 1, nil, 1)
}

// Runs that have not ended are bounded, those of all orders together.
func TestOpenRunsAreBounded(t *testing.T) {
	w := newWorld(t, 1, "web1", "web2")
	d := w.dispatcher(w.store)
	d.total = webjob.MaxOrderRuns - 1
	if _, err := d.Create(t.Context(), Creation{Envelope: w.sign(w.order("once"), "alice"), By: "olga"}); webjob.KindOf(err) != webjob.Unavailable {
		t.Errorf("one run too many: %v", err)
	}
	d.total--
	w.create(d, w.order("once"), "alice")
}
