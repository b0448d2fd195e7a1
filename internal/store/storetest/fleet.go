package storetest

import (
	"context"
	"fmt"
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
	must(t, s.OpenRuns(t.Context(), "", func(r webjob.OrderRun) error { ids = append(ids, r.Run); return nil }))
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
		given, err := s.OfferRuns(t.Context(), offers)
		must(t, err)
		wantEqual(t, len(given), want)
		if want > 0 {
			wantEqual(t, given, offers[:want])
		}
	}
	offer(1, webjob.Offer{Order: "o1", Run: "o1.a", Until: until}, webjob.Offer{Order: "o1", Run: "nonsense", Until: until})
	offer(1, webjob.Offer{Order: "o1", Run: "o1.a", Until: until}) // again: it did not arrive
	got, err := s.Order(t.Context(), "o1")
	must(t, err)
	wantEqual(t, got.Counts, webjob.Counts{webjob.RunQueued: 2, webjob.RunOffered: 1})
	var given webjob.OrderRun
	must(t, s.OpenRuns(t.Context(), "o1", func(r webjob.OrderRun) error {
		if r.State == webjob.RunOffered {
			given = r
		}
		return nil
	}))
	wantEqual(t, []any{given.Run, given.Until}, []any{"o1.a", until})
	// The rate: each start takes the place of the one before.
	first, second := now.Add(time.Hour), now.Add(2*time.Hour)
	offer(1, webjob.Offer{Order: "o1", Run: "o1.b", Until: until, NextStart: first}, webjob.Offer{Order: "o1", Run: "o1.c", Until: until, NextStart: first})
	offer(1, webjob.Offer{Order: "o1", Run: "o1.c", Until: until, Start: first, NextStart: second})
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
	offer(0, webjob.Offer{Order: "o1", Run: "o1.a", Until: until})
	offer(1, webjob.Offer{Order: "o2", Run: "o2.a", Until: until})
}

func ranksSwapped(t *testing.T, s webjob.Store) {
	o := order("o1")
	_, err := s.AddOrder(t.Context(), o, runsOf(o, "a", "b", "c"))
	must(t, err)
	must(t, s.SwapRanks(t.Context(), "o1", "o1.a", "o1.c"))
	ranks := map[string]int64{}
	must(t, s.OpenRuns(t.Context(), "o1", func(r webjob.OrderRun) error { ranks[r.Client] = r.Rank; return nil }))
	wantEqual(t, ranks, map[string]int64{"a": 2, "b": 1, "c": 0})
	_, err = s.OfferRuns(t.Context(), []webjob.Offer{{Order: "o1", Run: "o1.c", Until: now}})
	must(t, err)
	wantKind(t, s.SwapRanks(t.Context(), "o1", "o1.b", "o1.c"), webjob.Conflict)
	wantKind(t, s.SwapRanks(t.Context(), "o1", "o1.b", "o2.b"), webjob.Conflict)
}

// auditLog checks that acts are chained, and stored with the change that they make or not
// at all.
func auditLog(t *testing.T, s webjob.Store) {
	head, err := s.AuditHead(t.Context())
	must(t, err)
	wantEqual(t, head, webjob.AuditEntry{})
	act := func(actor, action, target string) webjob.Act {
		return webjob.Act{Time: now, Actor: actor, Address: "10.0.0.1:9", Action: action, Target: target, Outcome: webjob.ActDone, Reason: "odd", Before: []byte(`{"a":1}`)}
	}
	must(t, s.RecordActs(t.Context(), act("olga", "hook.test", "h"), act("paul", "client.list", "")))
	enroll(t, s, "web1")
	pending := &webjob.PendingAct{Act: act("olga", "client.suspend", "web1")}
	ctx := webjob.WithAct(t.Context(), pending)
	wantKind(t, s.SuspendClient(ctx, "nobody", "", now), webjob.NotFound)
	wantEqual(t, pending.Recorded(), false)
	must(t, s.SuspendClient(ctx, "web1", "odd", now))
	wantEqual(t, pending.Recorded(), true)
	must(t, s.SuspendClient(ctx, "web1", "", time.Time{})) // the same request goes on
	entries, err := s.ListActs(t.Context(), webjob.ActFilter{Page: webjob.Page{Limit: 9}})
	must(t, err)
	wantEqual(t, len(entries), 3)
	previous, sequence := webjob.EmptyDigest, int64(0)
	for _, e := range entries {
		got, err := e.CheckAfter(sequence, previous)
		must(t, err)
		previous, sequence = e.Hash, e.Sequence
		if sequence == 3 {
			wantEqual(t, got, pending.Act)
		}
	}
	head, err = s.AuditHead(t.Context())
	must(t, err)
	wantEqual(t, head, entries[2])
	changed := entries[1]
	changed.Text = append([]byte(nil), changed.Text...)
	changed.Text[len(changed.Text)-2] ^= 1
	for name, e := range map[string]webjob.AuditEntry{"changed": changed, "out of its place": entries[2]} {
		if _, err := e.CheckAfter(1, entries[0].Hash); webjob.KindOf(err) != webjob.Refused {
			t.Errorf("an entry that was %s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		filter webjob.ActFilter
		first  int64 // sequence of the first entry, 0 for none
	}{
		"actor":        {webjob.ActFilter{Actor: "paul"}, 2},
		"action":       {webjob.ActFilter{Action: "client.suspend"}, 3},
		"kind":         {webjob.ActFilter{Action: "client"}, 2},
		"half a kind":  {webjob.ActFilter{Action: "cli"}, 0},
		"target":       {webjob.ActFilter{Target: "web1"}, 3},
		"newest":       {webjob.ActFilter{Newest: true}, 3},
		"second page":  {webjob.ActFilter{Page: webjob.Page{After: "1"}}, 2},
		"page down":    {webjob.ActFilter{Newest: true, Page: webjob.Page{After: "3"}}, 2},
		"since then":   {webjob.ActFilter{Since: now.Add(time.Hour)}, 0},
		"until before": {webjob.ActFilter{Until: now}, 0},
	} {
		c.filter.Page.Limit = 1
		got, err := s.ListActs(t.Context(), c.filter)
		must(t, err)
		if c.first == 0 && len(got) > 0 || c.first > 0 && (len(got) != 1 || got[0].Sequence != c.first) {
			t.Errorf("%s: got %+v, want %d", name, got, c.first)
		}
	}
}

func leases(t *testing.T, s webjob.Store) {
	lease := func(holder string, ttl time.Duration, want bool) {
		t.Helper()
		held, err := s.Lease(t.Context(), "clock", holder, ttl)
		must(t, err)
		wantEqual(t, held, want)
	}
	lease("a", time.Hour, true)
	lease("b", time.Hour, false)
	lease("a", time.Hour, true) // more of it
	must(t, s.EndLease(t.Context(), "clock", "b"))
	lease("b", time.Hour, false)
	must(t, s.EndLease(t.Context(), "clock", "a"))
	lease("b", -time.Second, true)
	lease("a", time.Hour, true) // b's is over
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

func outputsFollowed(t *testing.T, s webjob.Store) {
	for i, c := range []struct {
		output, before webjob.Digest
	}{{"d1", ""}, {"d1", "d1"}, {"d2", "d1"}} {
		told := webjob.Digest("not asked")
		effects := webjob.ResultEffects{Output: c.output, Deliveries: func(before webjob.Digest) []webjob.Delivery {
			told = before
			return []webjob.Delivery{{Trigger: "t", NextAt: now}}
		}}
		_, err := s.AddResult(t.Context(), resultOf(fmt.Sprint("run", i)), nil, effects)
		must(t, err)
		wantEqual(t, told, c.before)
	}
	due, err := s.DueDeliveries(t.Context(), "t", now, 9)
	must(t, err)
	wantEqual(t, len(due), 3)
}

func deliveries(t *testing.T, s webjob.Store) {
	later := now.Add(time.Hour)
	must(t, s.AddDeliveries(t.Context(), []webjob.Delivery{
		{Trigger: "x", NextAt: later},
		{Trigger: "x", Event: webjob.Event{ID: "e1", Kind: webjob.OnPut, Time: now}, NextAt: now},
		{Trigger: "x", Event: webjob.Event{ID: "e2"}, NextAt: now},
		{Trigger: "y", NextAt: later},
	}))
	triggers := func(want map[string]time.Time) {
		t.Helper()
		got, err := s.DueTriggers(t.Context())
		must(t, err)
		wantEqual(t, got, want)
	}
	due := func(trigger string, limit int, want ...string) (list []webjob.Delivery) {
		t.Helper()
		list, err := s.DueDeliveries(t.Context(), trigger, now, limit)
		must(t, err)
		var ids []string
		for _, d := range list {
			ids = append(ids, d.Event.ID)
		}
		wantEqual(t, ids, want)
		return list
	}
	triggers(map[string]time.Time{"x": now, "y": later})
	due("x", 1, "e1")
	due("y", 9)
	first := due("x", 9, "e1", "e2")
	must(t, s.Delivered(t.Context(), []int64{first[1].Sequence}))
	d := first[0]
	d.Attempts, d.Dead, d.Error = 5, true, "refused"
	must(t, s.Postpone(t.Context(), d))
	dead, err := s.ListDeliveries(t.Context(), true, webjob.Page{Limit: 9})
	must(t, err)
	wantEqual(t, dead, []webjob.Delivery{d})
	due("x", 9)
	triggers(map[string]time.Time{"x": later, "y": later})
	_, err = s.RetryDeliveries(t.Context(), 999, now)
	wantKind(t, err, webjob.NotFound)
	n, err := s.RetryDeliveries(t.Context(), 0, now)
	must(t, err)
	wantEqual(t, n, int64(1))
	wantEqual(t, due("x", 9, "e1")[0].Attempts, int64(0))
	triggers(map[string]time.Time{"x": now, "y": later})
}

func notes(t *testing.T, s webjob.Store) {
	a := webjob.Note{Hook: "h", Event: webjob.OnGet, Time: now, Notes: []string{"one"}, Labels: webjob.Labels{"case": "17"}}
	b := webjob.Note{Hook: "h", Event: webjob.OnPut, Time: now, Error: "hung"}
	must(t, s.AddNotes(t.Context(), "run-1", []webjob.Note{a}))
	_, err := s.AddResult(t.Context(), resultOf("run-1"), nil, webjob.ResultEffects{Notes: []webjob.Note{b}})
	must(t, err)
	got, err := s.Notes(t.Context(), "run-1")
	must(t, err)
	wantEqual(t, got, []webjob.Note{a, b})
}

func clientChanges(t *testing.T, s webjob.Store) {
	enroll(t, s, "a")
	get := func() webjob.Client {
		c, err := s.Client(t.Context(), "a")
		must(t, err)
		return c
	}
	want := get()
	want.Labels, want.Facts = webjob.Labels{"role": "db"}, &webjob.Facts{OS: "linux", Addresses: []string{"10.0.0.1"}, Booted: now.Truncate(time.Second)}
	must(t, s.ChangeRepository(t.Context(), webjob.RepositoryChange{Labels: map[string]webjob.Labels{"a": want.Labels}}, now))
	must(t, s.SetFacts(t.Context(), "a", *want.Facts))
	must(t, s.SuspendClient(t.Context(), "a", "odd", now))
	want.SuspendedAt, want.Reason = now, "odd"
	wantEqual(t, get(), want)
	must(t, s.SuspendClient(t.Context(), "a", "", time.Time{}))
	want.SuspendedAt, want.Reason = time.Time{}, ""
	wantEqual(t, get(), want)
	must(t, s.LetReturn(t.Context(), "a", now, now.Add(time.Hour)))
	want.AskedAt, want.ApprovedUntil = now, now.Add(time.Hour)
	wantEqual(t, get(), want)
	must(t, s.LetReturn(t.Context(), "a", time.Time{}, time.Time{}))
	want.AskedAt, want.ApprovedUntil = time.Time{}, time.Time{}
	wantEqual(t, get(), want)
	clone := webjob.Clone{Client: "a", Reason: "two", Address: "10.0.0.1:1", At: now, OtherAddress: "10.0.0.2:2", OtherAt: now}
	must(t, s.AddClone(t.Context(), clone, nil))
	want.Clone = &clone
	wantEqual(t, get(), want)
	must(t, s.ForgetClone(t.Context(), "a"))
	want.Clone = nil
	wantEqual(t, get(), want)
	testChains(t, s, now)
	wantKind(t, s.SetFacts(t.Context(), "nobody", webjob.Facts{}), webjob.NotFound)
}

func overdue(t *testing.T, s webjob.Store) {
	enroll(t, s, "gone", "here", "never", "suspended")
	seen := map[string]time.Time{"gone": now.Add(-time.Hour), "here": now, "suspended": now.Add(-time.Hour)}
	must(t, s.SawClients(t.Context(), seen))
	must(t, s.SuspendClient(t.Context(), "suspended", "", now))
	mark := func(want int) {
		t.Helper()
		n, err := s.MarkOverdue(t.Context(), now.Add(-time.Minute), now, func(c webjob.Client) []webjob.Delivery {
			wantEqual(t, c.ID, "gone")
			return []webjob.Delivery{{Trigger: "t", NextAt: now}}
		})
		must(t, err)
		wantEqual(t, n, want)
	}
	mark(1)
	mark(0)
	must(t, s.SawClients(t.Context(), map[string]time.Time{"gone": now.Add(-2 * time.Minute)}))
	mark(1) // it came back, and went again
	due, err := s.DueDeliveries(t.Context(), "t", now, 9)
	must(t, err)
	wantEqual(t, len(due), 2)
}

// resultOf is a succeeded result of the job on web1.
func resultOf(run string) webjob.Result { return result(run, "web1", "job", webjob.Succeeded, now) }

// expectedResultsDelayLittle checks that a result which is expected and never comes keeps
// others waiting for a moment only.
func expectedResultsDelayLittle(t *testing.T, s webjob.Store) {
	defer s.ExpectResult()()
	start := time.Now()
	for i := range 20 {
		done := s.ExpectResult()
		_, err := s.AddResult(t.Context(), resultOf(fmt.Sprint("run", i)), nil, webjob.ResultEffects{})
		must(t, err)
		done()
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("twenty results took %s while another one was expected", took)
	}
}

// changeIsNotLeft checks that a caller whose context ends while its change is under way
// is told what became of it, and that one whose context ended before changes nothing.
func changeIsNotLeft(t *testing.T, s webjob.Store) {
	ctx, leave := context.WithCancel(t.Context())
	made := false
	added, err := s.AddResult(ctx, resultOf("run1"), nil, webjob.ResultEffects{Deliveries: func(webjob.Digest) []webjob.Delivery {
		leave()
		time.Sleep(50 * time.Millisecond) // in which a caller that does not wait would be gone
		made = true
		return nil
	}})
	must(t, err)
	wantEqual(t, []bool{added, made}, []bool{true, true})
	_, err = s.AddResult(ctx, resultOf("run2"), nil, webjob.ResultEffects{})
	wantKind(t, err, webjob.Unavailable)
	_, err = s.Result(t.Context(), "run2")
	wantKind(t, err, webjob.NotFound)
	wantKind(t, s.Ping(ctx), webjob.Unavailable)
}
