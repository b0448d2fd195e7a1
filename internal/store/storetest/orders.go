package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"webjob.dev/webjob"
)

func order(id string) webjob.OrderStatus {
	return webjob.OrderStatus{
		Order: webjob.Order{
			Format: webjob.OrderFormat, ID: id, Job: "job", Version: 3, Manifest: webjob.DigestOf([]byte("m")), Arguments: []string{"a b"},
			On: "all", Created: now, NotBefore: now, Expires: now.Add(time.Hour), Tag: "t",
		},
		State: webjob.OrderOpen, CreatedBy: "olga", SignedBy: []string{"alice"}, Envelope: []byte("envelope of " + id),
	}
}

func runsOf(o webjob.OrderStatus, clients ...string) []webjob.OrderRun {
	var runs []webjob.OrderRun
	for i, c := range clients {
		runs = append(runs, webjob.OrderRun{
			Run: o.RunID(c, time.Time{}), Order: o.ID, Client: c, Rank: int64(i), State: webjob.RunQueued, Updated: now,
		})
	}
	return runs
}

func openRuns(t *testing.T, s webjob.Store) (ids []string) {
	t.Helper()
	must(t, s.OpenRuns(t.Context(), func(r webjob.OrderRun) error { ids = append(ids, r.Run); return nil }))
	return ids
}

func orderOnce(t *testing.T, s webjob.Store) {
	o := order("o1")
	added, err := s.AddOrder(t.Context(), o, runsOf(o, "a", "b"))
	must(t, err)
	wantEqual(t, added, true)
	added, err = s.AddOrder(t.Context(), o, runsOf(o, "a", "b", "c"))
	must(t, err)
	wantEqual(t, added, false)
	other := order("o1")
	other.Envelope = []byte("other")
	_, err = s.AddOrder(t.Context(), other, nil)
	wantKind(t, err, webjob.Conflict)
	got, err := s.Order(t.Context(), "o1")
	must(t, err)
	want := o
	want.Revision = 1
	want.Sequence, want.Counts = got.Sequence, webjob.Counts{webjob.RunQueued: 2}
	wantEqual(t, got, want)
	_, err = s.Order(t.Context(), "nobody")
	wantKind(t, err, webjob.NotFound)
	// Late joiners, one of them known already.
	joined, err := s.JoinOrder(t.Context(), "o1", runsOf(o, "a", "c"))
	must(t, err)
	wantEqual(t, joined, runsOf(o, "a", "c")[1:])
	got, err = s.Order(t.Context(), "o1")
	must(t, err)
	wantEqual(t, got.Counts, webjob.Counts{webjob.RunQueued: 3})
	runs, last, err := s.ListOrderRuns(t.Context(), "o1", nil, webjob.Page{Limit: 2})
	must(t, err)
	wantEqual(t, runs, runsOf(o, "a", "b"))
	runs, _, err = s.ListOrderRuns(t.Context(), "o1", []webjob.RunState{webjob.RunQueued}, webjob.Page{Limit: 2, After: last})
	must(t, err)
	wantEqual(t, len(runs), 1)
	wantEqual(t, openRuns(t, s), []string{"o1.a", "o1.b", "o1.c"})
}

func orderRunsEnd(t *testing.T, s webjob.Store) {
	for _, id := range []string{"o1", "o2", "o3"} {
		o := order(id)
		_, err := s.AddOrder(t.Context(), o, runsOf(o, "a", "b"))
		must(t, err)
	}
	expire := webjob.RunMove{From: []webjob.RunState{webjob.RunQueued}, To: webjob.RunExpired, Runs: []string{"o1.a", "o2.a", "nonsense"}}
	n, err := s.MoveRuns(t.Context(), "o1", expire, now)
	must(t, err)
	wantEqual(t, n, int64(1))
	got, err := s.Order(t.Context(), "o1")
	must(t, err)
	wantEqual(t, got.Counts, webjob.Counts{webjob.RunQueued: 1, webjob.RunExpired: 1})
	got.State, got.Reason, got.Forgiven, got.Waived, got.Cancelled, got.EndedAt = webjob.OrderDone, "why", 3, true, true, now
	got.Envelope, got.SignedBy = []byte("more signatures"), []string{"alice", "bob"}
	change := webjob.OrderChange{
		Order: got, NoneOpen: true, At: now,
		Deliveries: []webjob.Delivery{{Trigger: "t", Event: webjob.Event{ID: "e", Kind: webjob.OnOrder}, NextAt: now}},
	}
	_, err = s.ChangeOrder(t.Context(), change)
	wantKind(t, err, webjob.Conflict) // a run is queued
	change.Moves = []webjob.RunMove{{From: []webjob.RunState{webjob.RunQueued, webjob.RunOffered}, To: webjob.RunExpired}}
	changed, err := s.ChangeOrder(t.Context(), change)
	must(t, err)
	again, err := s.Order(t.Context(), "o1")
	must(t, err)
	wantEqual(t, again, changed)
	got.Revision, got.Counts = got.Revision+1, webjob.Counts{webjob.RunExpired: 2}
	wantEqual(t, again, got)
	_, err = s.ChangeOrder(t.Context(), change) // with the revision of before
	wantKind(t, err, webjob.Conflict)
	joined, err := s.JoinOrder(t.Context(), "o1", runsOf(got, "late"))
	must(t, err)
	wantEqual(t, len(joined), 0) // it has ended
	due, err := s.DueDeliveries(t.Context(), "t", now, 9)
	must(t, err)
	wantEqual(t, len(due), 1)
	list, err := s.ListOrders(t.Context(), webjob.OrderFilter{State: webjob.OrderOpen, Job: "job", Tag: "t", Page: webjob.Page{Limit: 1}})
	must(t, err)
	wantEqual(t, list[0].ID, "o3")
	list, err = s.ListOrders(t.Context(), webjob.OrderFilter{Page: webjob.Page{Limit: 9, After: fmt.Sprint(list[0].Sequence)}})
	must(t, err)
	wantEqual(t, []string{list[0].ID, list[1].ID}, []string{"o2", "o1"})
}

func orderStopAndResume(t *testing.T, s webjob.Store) {
	o := order("o1")
	_, err := s.AddOrder(t.Context(), o, runsOf(o, "a", "b"))
	must(t, err)
	for _, move := range []webjob.RunMove{
		{From: []webjob.RunState{webjob.RunQueued}, To: webjob.RunStopped}, {From: []webjob.RunState{webjob.RunStopped}, To: webjob.RunQueued},
	} {
		n, err := s.MoveRuns(t.Context(), "o1", move, now)
		must(t, err)
		wantEqual(t, n, int64(2))
		got, err := s.Order(t.Context(), "o1")
		must(t, err)
		wantEqual(t, got.Counts, webjob.Counts{move.To: 2})
	}
	wantEqual(t, len(openRuns(t, s)), 2)
}

// offers are given once, while the order is open, and within its rate.
func offers(t *testing.T, s webjob.Store) {
	o, other := order("o1"), order("o2")
	for _, each := range []webjob.OrderStatus{o, other} {
		_, err := s.AddOrder(t.Context(), each, runsOf(each, "a", "b", "c"))
		must(t, err)
	}
	until := now.Add(time.Minute)
	offer := func(want int, offers ...webjob.Offer) {
		t.Helper()
		given, err := s.OfferRuns(t.Context(), offers, until)
		must(t, err)
		wantEqual(t, len(given), want)
		slices.Sort(given)
		for i, run := range given {
			wantEqual(t, run, offers[i].Run)
		}
	}
	offer(1, webjob.Offer{Order: "o1", Run: "o1.a"}, webjob.Offer{Order: "o1", Run: "nonsense"})
	offer(1, webjob.Offer{Order: "o1", Run: "o1.a"}) // again: it did not arrive
	got, err := s.Order(t.Context(), "o1")
	must(t, err)
	wantEqual(t, got.Counts, webjob.Counts{webjob.RunQueued: 2, webjob.RunOffered: 1})
	var given webjob.OrderRun
	_, err = s.OpenOrder(t.Context(), "o1", func(r webjob.OrderRun) error {
		if r.State == webjob.RunOffered {
			given = r
		}
		return nil
	})
	must(t, err)
	wantEqual(t, []any{given.Run, given.Until}, []any{"o1.a", until})
	// The rate: each start takes the place of the one before.
	first, second := now.Add(time.Hour), now.Add(2*time.Hour)
	offer(1, webjob.Offer{Order: "o1", Run: "o1.b", NextStart: first}, webjob.Offer{Order: "o1", Run: "o1.c", NextStart: first})
	offer(1, webjob.Offer{Order: "o1", Run: "o1.c", Start: first, NextStart: second})
	got, err = s.Order(t.Context(), "o1")
	must(t, err)
	wantEqual(t, got.NextStart, second)
	offer(0, webjob.Offer{Order: "o1", Run: "nonsense", Start: second, NextStart: until}) // takes no place
	got, err = s.Order(t.Context(), "o1")
	must(t, err)
	wantEqual(t, got.NextStart, second)
	// Given back, but not what is still on offer; then nothing is given of a stopped order.
	back := webjob.RunMove{From: []webjob.RunState{webjob.RunOffered}, To: webjob.RunQueued, OfferedBefore: until}
	n, err := s.MoveRuns(t.Context(), "o1", back, now)
	must(t, err)
	wantEqual(t, n, int64(0))
	back.OfferedBefore = until.Add(time.Second)
	n, err = s.MoveRuns(t.Context(), "o1", back, now)
	must(t, err)
	wantEqual(t, n, int64(3))
	// Clients hold one that waits and one that has ended.
	must(t, s.HoldRuns(t.Context(), []string{"o1.b", "nonsense"}, until))
	got, err = s.Order(t.Context(), "o1")
	must(t, err)
	wantEqual(t, got.Counts, webjob.Counts{webjob.RunQueued: 2, webjob.RunOffered: 1})
	back.While = webjob.OrderStopped // which it is not
	n, err = s.MoveRuns(t.Context(), "o1", back, now)
	must(t, err)
	wantEqual(t, n, int64(0))
	got.State = webjob.OrderStopped
	_, err = s.ChangeOrder(t.Context(), webjob.OrderChange{Order: got, At: now})
	must(t, err)
	offer(0, webjob.Offer{Order: "o1", Run: "o1.a"})
	offer(2, webjob.Offer{Order: "o2", Run: "o2.a"}, webjob.Offer{Order: "o2", Run: "o2.b"})
	offer(3, webjob.Offer{Order: "o2", Run: "o2.a"}, webjob.Offer{Order: "o2", Run: "o2.b"}, webjob.Offer{Order: "o2", Run: "o2.c"}) // two of them again
	got, err = s.Order(t.Context(), "o2")
	must(t, err)
	wantEqual(t, got.Counts, webjob.Counts{webjob.RunOffered: 3})
}

func ranksSwapped(t *testing.T, s webjob.Store) {
	o := order("o1")
	_, err := s.AddOrder(t.Context(), o, runsOf(o, "a", "b", "c"))
	must(t, err)
	must(t, s.SwapRanks(t.Context(), "o1", "o1.a", "o1.c"))
	ranks := map[string]int64{}
	_, err = s.OpenOrder(t.Context(), "o1", func(r webjob.OrderRun) error { ranks[r.Client] = r.Rank; return nil })
	must(t, err)
	wantEqual(t, ranks, map[string]int64{"a": 2, "b": 1, "c": 0})
	_, err = s.OfferRuns(t.Context(), []webjob.Offer{{Order: "o1", Run: "o1.c"}}, now)
	must(t, err)
	wantKind(t, s.SwapRanks(t.Context(), "o1", "o1.b", "o1.c"), webjob.Conflict)
	wantKind(t, s.SwapRanks(t.Context(), "o1", "o1.b", "o2.b"), webjob.Conflict)
}

func effectsFor(r webjob.Result, o string) webjob.ResultEffects {
	return webjob.ResultEffects{OrderRun: &webjob.OrderRun{Run: r.Run, Order: o, Client: r.Client, State: webjob.StateOf(r.Outcome), Updated: now}}
}

func resultEndsRun(t *testing.T, s webjob.Store) {
	o := order("o1")
	_, err := s.AddOrder(t.Context(), o, runsOf(o, "web1", "web2"))
	must(t, err)
	add := func(run, client string, effects webjob.ResultEffects) {
		t.Helper()
		r := resultOf(run)
		r.Client = client
		effects.OrderRun = effectsFor(r, "o1").OrderRun
		for _, want := range []bool{true, false} { // repeated: counted once
			added, err := s.AddResult(t.Context(), r, nil, effects)
			must(t, err)
			wantEqual(t, added, want)
		}
	}
	counts := func(want webjob.Counts) {
		t.Helper()
		got, err := s.Order(t.Context(), "o1")
		must(t, err)
		wantEqual(t, got.Counts, want)
	}
	add("o1.web1", "web1", webjob.ResultEffects{})
	counts(webjob.Counts{webjob.RunQueued: 1, webjob.RunDone: 1})
	add("o1.web9", "web9", webjob.ResultEffects{}) // no run of the order
	counts(webjob.Counts{webjob.RunQueued: 1, webjob.RunDone: 1})
	add("o1.web8", "web8", webjob.ResultEffects{AddRun: true})
	counts(webjob.Counts{webjob.RunQueued: 1, webjob.RunDone: 2})
	// Given up, and it came all the same.
	_, err = s.MoveRuns(t.Context(), "o1", webjob.RunMove{From: []webjob.RunState{webjob.RunQueued}, To: webjob.RunExpired}, now)
	must(t, err)
	add("o1.web2", "web2", webjob.ResultEffects{})
	counts(webjob.Counts{webjob.RunDone: 3})
}

// An order and its runs are of one moment, whatever changes meanwhile.
func orderOfOneMoment(t *testing.T, s webjob.Store) {
	o := order("o1")
	var clients []string
	for i := range 200 {
		clients = append(clients, fmt.Sprint("c", i))
	}
	_, err := s.AddOrder(t.Context(), o, runsOf(o, clients...))
	must(t, err)
	ended := make(chan error, 1)
	go func() {
		var err error
		for _, c := range clients {
			move := webjob.RunMove{From: []webjob.RunState{webjob.RunQueued}, To: webjob.RunLost, Runs: []string{"o1." + c}}
			_, moveErr := s.MoveRuns(context.WithoutCancel(t.Context()), "o1", move, now)
			err = errors.Join(err, moveErr)
		}
		ended <- err
	}()
	for open := int64(1); open > 0; {
		open = 0
		got, err := s.OpenOrder(t.Context(), "o1", func(webjob.OrderRun) error { open++; return nil })
		must(t, err)
		wantEqual(t, got.Counts[webjob.RunQueued], open)
	}
	must(t, <-ended)
	_, err = s.OpenOrder(t.Context(), "o2", nil)
	wantKind(t, err, webjob.NotFound)
}

// Nobody ends the run of another client, and a change that fails counts nothing.
func runsOfOthersStay(t *testing.T, s webjob.Store) {
	o := order("o1")
	_, err := s.AddOrder(t.Context(), o, runsOf(o, "a"))
	must(t, err)
	r := resultOf("o1.a")
	_, err = s.AddResult(t.Context(), r, nil, webjob.ResultEffects{OrderRun: &webjob.OrderRun{Run: "o1.a", Order: "o1", Client: "b", State: webjob.RunDone, Updated: now}})
	must(t, err)
	_, err = s.OfferRuns(t.Context(), []webjob.Offer{{Order: "o1", Run: "o1.a"}}, now)
	must(t, err)
	r.Run = "other"
	_, err = s.AddResult(t.Context(), r, nil, webjob.ResultEffects{OrderRun: &webjob.OrderRun{Run: "o1.a", Order: "o1", Client: "b", State: webjob.RunDone, Updated: now}})
	must(t, err)
	moved, err := s.Order(t.Context(), "o1")
	must(t, err)
	change := webjob.OrderChange{Order: moved, At: now, NoneOpen: true, Add: runsOf(o, "c")}
	_, err = s.ChangeOrder(t.Context(), change)
	wantKind(t, err, webjob.Conflict)
	_, err = s.OfferRuns(t.Context(), []webjob.Offer{{Order: "o1", Run: "o1.a"}}, now) // what came before is stored by then
	must(t, err)
	got, err := s.Order(t.Context(), "o1")
	must(t, err)
	wantEqual(t, got.Counts, webjob.Counts{webjob.RunOffered: 1})
}
