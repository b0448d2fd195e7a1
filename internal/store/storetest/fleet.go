package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"webjob.dev/webjob"
)

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

// A client sends results of any number of jobs.
func outputsAreBounded(t *testing.T, s webjob.Store) {
	follow := func(run, client, job string) (before webjob.Digest) {
		t.Helper()
		_, err := s.AddResult(context.WithoutCancel(t.Context()), result(run, client, job, webjob.Succeeded, now), nil, webjob.ResultEffects{
			Output: webjob.DigestOf([]byte("x")), Deliveries: func(d webjob.Digest) []webjob.Delivery { before = d; return nil },
		})
		if err != nil {
			t.Error(err)
		}
		return before
	}
	var work sync.WaitGroup
	for part := range 100 {
		work.Go(func() {
			for i := part; i < webjob.MaxOutputs; i += 100 {
				follow(fmt.Sprint("run-", i), "web1", fmt.Sprint("job-", i))
			}
		})
	}
	work.Wait()
	wantEqual(t, follow("again", "web1", "job-7"), webjob.DigestOf([]byte("x")))
	for _, run := range []string{"more", "once-more"} {
		wantEqual(t, follow(run, "web1", "one-more"), webjob.Digest(""))
	}
	follow("first", "web2", "one-more")
	wantEqual(t, follow("second", "web2", "one-more"), webjob.DigestOf([]byte("x")))
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

// What one client makes the server tell is bounded, and what nobody was told.
func deliveriesAreBounded(t *testing.T, s webjob.Store) {
	of := func(client, trigger string, n int) (list []webjob.Delivery) {
		for range n {
			list = append(list, webjob.Delivery{Trigger: trigger, Event: webjob.Event{Client: client}, NextAt: now})
		}
		return list
	}
	must(t, s.AddDeliveries(t.Context(), of("web1", "x", webjob.MaxDeliveries)))
	wantKind(t, s.AddDeliveries(t.Context(), of("web1", "y", 1)), webjob.Unavailable)
	tell := webjob.ResultEffects{Deliveries: func(webjob.Digest) []webjob.Delivery { return of("web1", "y", 1) }}
	_, err := s.AddResult(t.Context(), resultOf("run-1"), nil, tell)
	wantKind(t, err, webjob.Unavailable)
	must(t, s.AddDeliveries(t.Context(), of("web2", "x", 1)))
	must(t, s.AddDeliveries(t.Context(), of("", "y", webjob.MaxDeliveries+500))) // of no client
	must(t, s.AddDeliveries(t.Context(), of("", "y", 1)))
	enroll(t, s, "web1")
	must(t, s.AddClone(t.Context(), webjob.Clone{Client: "web1"}, of("web1", "x", 1))) // the server's own word
	die := func(trigger string) {
		due, err := s.DueDeliveries(t.Context(), trigger, now, 2*webjob.MaxDeliveries)
		must(t, err)
		var work sync.WaitGroup
		for part := range 200 { // at the same time, so that they share what it costs
			work.Go(func() {
				for i := part; i < len(due); i += 200 {
					d := due[i]
					d.Dead, d.NextAt = true, now.Add(time.Duration(i)*time.Second)
					if err := s.Postpone(context.WithoutCancel(t.Context()), d); err != nil {
						t.Error(err)
					}
				}
			})
		}
		work.Wait()
	}
	die("y")
	dead, err := s.ListDeliveries(t.Context(), true, webjob.Page{Limit: 2 * webjob.MaxDeliveries})
	must(t, err)
	if n := len(dead); n < webjob.MaxDead || n > webjob.MaxDead+200 {
		t.Errorf("%d dead deliveries are kept", n)
	}
	die("x")
	must(t, s.AddDeliveries(t.Context(), of("web1", "y", 1))) // dead ones do not count
	_, err = s.AddResult(t.Context(), resultOf("run-1"), nil, tell)
	must(t, err)
}

func notes(t *testing.T, s webjob.Store) {
	a := webjob.Note{Hook: "h", Event: webjob.OnGet, Time: now, Notes: []string{"one"}, Labels: webjob.Labels{"case": "17"}}
	b := webjob.Note{Hook: "h", Event: webjob.OnPut, Time: now, Error: "hung"}
	must(t, s.AddNotes(t.Context(), "web1", "run-1", []webjob.Note{a}))
	wantKind(t, s.AddNotes(t.Context(), "b", "run-1", []webjob.Note{a}), webjob.Conflict)
	_, err := s.AddResult(t.Context(), resultOf("run-1"), nil, webjob.ResultEffects{Notes: []webjob.Note{b}})
	must(t, err)
	got, err := s.Notes(t.Context(), "run-1")
	must(t, err)
	wantEqual(t, got, []webjob.Note{a, b})
	_, err = s.AddResult(t.Context(), resultOf("run-2"), nil, webjob.ResultEffects{})
	must(t, err)
	wantKind(t, s.AddNotes(t.Context(), "web1", "run-2", []webjob.Note{a}), webjob.Conflict)
}

// A client asks for any number of runs, and brings no results.
func notesAreBounded(t *testing.T, s webjob.Store) {
	noted := make([]webjob.Note, 100)
	for i := range noted {
		noted[i] = webjob.Note{Hook: "h", Event: webjob.OnRun, Time: now}
	}
	count := func(run string) int {
		got, err := s.Notes(t.Context(), run)
		must(t, err)
		return len(got)
	}
	must(t, s.AddNotes(t.Context(), "b", "of-b", noted))
	must(t, s.AddNotes(t.Context(), "web1", "done", noted))
	_, err := s.AddResult(t.Context(), resultOf("done"), nil, webjob.ResultEffects{})
	must(t, err)
	runs := 2 * webjob.MaxWaitingNotes / len(noted)
	for i := range runs {
		must(t, s.AddNotes(t.Context(), "web1", fmt.Sprint("run-", i), noted))
	}
	kept := 0
	for i := range runs {
		kept += count(fmt.Sprint("run-", i))
	}
	if kept > webjob.MaxWaitingNotes || kept < webjob.MaxWaitingNotes/2 {
		t.Errorf("%d notes are kept of runs without results, want at most %d", kept, webjob.MaxWaitingNotes)
	}
	wantEqual(t, []int{count("done"), count("of-b"), count(fmt.Sprint("run-", runs-1))}, []int{100, 100, 100})
	for range webjob.MaxNotes/len(noted) - 1 {
		must(t, s.AddNotes(t.Context(), "b", "of-b", noted))
	}
	wantKind(t, s.AddNotes(t.Context(), "b", "of-b", noted), webjob.TooLarge)
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
	must(t, s.SetLateRenewal(t.Context(), "a", now, now.Add(time.Hour)))
	want.AskedAt, want.ApprovedUntil = now, now.Add(time.Hour)
	wantEqual(t, get(), want)
	must(t, s.SetLateRenewal(t.Context(), "a", time.Time{}, time.Time{}))
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
