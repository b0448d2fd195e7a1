// Package storetest is the contract that every implementation of [webjob.Store]
// passes.
package storetest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"webjob.dev/webjob"
)

// Open returns the store kept at place, which is a new empty directory the first
// time and the same directory when a test opens it again.
type Open func(t *testing.T, place string) webjob.Store

// now is a time that survives being stored: microseconds, UTC.
var now = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// Run checks the stores that open returns.
func Run(t *testing.T, open Open) {
	for name, check := range map[string]func(*testing.T, webjob.Store){
		"an expected result delays others little":        expectedResultsDelayLittle,
		"a token is used as often as it says":            tokenUses,
		"tokens are listed and revoked":                  tokenLife,
		"enrolment is whole or not at all":               enrolmentIsWhole,
		"a client comes back under its own name":         clientReadmitted,
		"clients are listed in pages":                    clientPages,
		"a revocation stays as it was first":             revocation,
		"last seen never goes back":                      lastSeen,
		"operators are added with a token":               operators,
		"an operator comes back under its own name":      operatorReadmitted,
		"roles change when they are as expected":         operatorRoles,
		"tokens of an admin end with its role":           demotedAdmin,
		"there is always an admin":                       lastAdmin,
		"certificates are renewed and revoked":           certificates,
		"versions only go up":                            versionsGoUp,
		"the nearest scope wins":                         nearestScope,
		"withdrawn versions are not found":               withdrawal,
		"jobs are listed in pages":                       jobPages,
		"a payload is for the scopes of its versions":    payloadScopes,
		"a result is added once":                         resultOnce,
		"results are filtered and paged":                 resultPages,
		"every blob that must exist is named":            blobDigests,
		"the job repository changes as a whole":          repositoryChanges,
		"many writers at once all succeed or all clash":  manyWriters,
		"a failing change leaves the others":             failingAmongOthers,
		"an order is added once, with its runs":          orderOnce,
		"runs of an order end and are counted":           orderRunsEnd,
		"runs are stopped and queued again":              orderStopAndResume,
		"a run is offered once, of open orders alone":    offers,
		"places in an order are exchanged":               ranksSwapped,
		"runs of other clients stay":                     runsOfOthersStay,
		"holds of one client are bounded":                allHoldsAreBounded,
		"an order and its runs are of one moment":        orderOfOneMoment,
		"acts are chained, and stored with the change":   auditLog,
		"who was revoked meanwhile changes nothing":      actorsChange,
		"the audit log names tokens that go along":       auditNamesTokens,
		"the newest time is of an act or a result":       newestTime,
		"a lease has one holder":                         leases,
		"a result ends the run of its order":             resultEndsRun,
		"outputs are followed":                           outputsFollowed,
		"outputs that are followed are bounded":          outputsAreBounded,
		"deliveries wait, fail, die and come back":       deliveries,
		"deliveries are bounded":                         deliveriesAreBounded,
		"notes are kept with their run":                  notes,
		"notes of runs without results are bounded":      notesAreBounded,
		"clients are labelled, suspended, described":     clientChanges,
		"overdue clients are told once":                  overdue,
		"no answer is older than a change that was told": answersAreCurrent,
		"results go when they are due":                   pruning,
		"no blob that is named is removed":               heldOrCondemned,
		"holds count, and are bounded":                   holdsAreBounded,
		"what a client stores is counted":                storage,
		"payloads are held as long as their draft":       draftHolds,
		"a change is not left alone":                     changeIsNotLeft,
		"answers a ping":                                 func(t *testing.T, s webjob.Store) { must(t, s.Ping(t.Context())) },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			defer func() { must(t, s.Close()) }()
			check(t, s)
		})
	}
	t.Run("what was stored is there after opening again", func(t *testing.T) { reopen(t, open) })
	t.Run("a closed store refuses changes", func(t *testing.T) {
		s := open(t, t.TempDir())
		must(t, s.Close())
		wantKind(t, s.AddToken(t.Context(), token("late", 1)), webjob.Unavailable)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, kind webjob.Kind) {
	t.Helper()
	if webjob.KindOf(err) != kind {
		t.Fatalf("error is %v (kind %q), want kind %q", err, webjob.KindOf(err), kind)
	}
}

func wantEqual(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got\n%+v\nwant\n%+v", got, want)
	}
}

func clientPages(t *testing.T, s webjob.Store) {
	enroll(t, s, "c", "a", "b")
	first, err := s.ListClients(t.Context(), webjob.Page{Limit: 2})
	must(t, err)
	wantEqual(t, first, []webjob.Client{client("a"), client("b")})
	second, err := s.ListClients(t.Context(), webjob.Page{After: "b", Limit: 2})
	must(t, err)
	wantEqual(t, second, []webjob.Client{client("c")})
}

func lastSeen(t *testing.T, s webjob.Store) {
	enroll(t, s, "a")
	must(t, s.SawClients(t.Context(), map[string]time.Time{"a": now, "nobody": now}))
	must(t, s.SawClients(t.Context(), map[string]time.Time{"a": now.Add(-time.Hour)}))
	c, err := s.Client(t.Context(), "a")
	must(t, err)
	wantEqual(t, c.LastSeen, now)
}

func result(run, client, job string, outcome webjob.Outcome, received time.Time) webjob.Result {
	status := 3
	return webjob.Result{
		Run: run, Client: client, Job: job, Version: 2, Outcome: outcome, ExitStatus: &status, Started: now,
		DurationMS: 12.5, Received: received, Bytes: 5, Record: []byte(`{"run":"` + run + `"}`), Inline: []byte("hello"),
	}
}

func resultOnce(t *testing.T, s webjob.Store) {
	r := result("run1", "web1", "j", webjob.Failed, now)
	added, err := s.AddResult(t.Context(), r, nil, webjob.ResultEffects{})
	must(t, err)
	wantEqual(t, added, true)
	added, err = s.AddResult(t.Context(), r, nil, webjob.ResultEffects{})
	must(t, err)
	wantEqual(t, added, false)
	for _, change := range []func(*webjob.Result){
		func(r *webjob.Result) { r.Record = []byte(`{"run":"other"}`) },
		func(r *webjob.Result) { r.Client = "web2" },
	} {
		other := r
		change(&other)
		_, err = s.AddResult(t.Context(), other, nil, webjob.ResultEffects{})
		wantKind(t, err, webjob.Conflict)
	}
	got, err := s.Result(t.Context(), "run1")
	must(t, err)
	got.Sequence = 0
	wantEqual(t, got, r)
	_, err = s.Result(t.Context(), "unknown")
	wantKind(t, err, webjob.NotFound)
}

func resultPages(t *testing.T, s webjob.Store) {
	for i := range 10 {
		outcome, who, job := webjob.Succeeded, "web1", "a"
		if i%2 == 1 {
			outcome, who = webjob.Failed, "web2"
		}
		if i >= 5 {
			job = "b"
		}
		_, err := s.AddResult(t.Context(), result(fmt.Sprint("r", i), who, job, outcome, now.Add(time.Duration(i)*time.Minute)), nil, webjob.ResultEffects{})
		must(t, err)
	}
	list := func(f webjob.ResultFilter) (runs []string) {
		if f.Page.Limit == 0 {
			f.Page.Limit = 100
		}
		rs, err := s.ListResults(t.Context(), f)
		must(t, err)
		for _, r := range rs {
			runs = append(runs, r.Run)
		}
		return runs
	}
	wantEqual(t, list(webjob.ResultFilter{Client: "web2"}), []string{"r9", "r7", "r5", "r3", "r1"})
	wantEqual(t, list(webjob.ResultFilter{Job: "a", Outcome: webjob.Failed}), []string{"r3", "r1"})
	wantEqual(t, list(webjob.ResultFilter{Since: now.Add(8 * time.Minute)}), []string{"r9", "r8"})
	wantEqual(t, list(webjob.ResultFilter{Until: now.Add(2 * time.Minute)}), []string{"r1", "r0"})
	wantEqual(t, list(webjob.ResultFilter{Client: "nobody"}), []string(nil))
	page := webjob.Page{Limit: 4}
	var paged []string
	for {
		rs, err := s.ListResults(t.Context(), webjob.ResultFilter{Page: page})
		must(t, err)
		for _, r := range rs {
			paged = append(paged, r.Run)
			page.After = fmt.Sprint(r.Sequence)
		}
		if len(rs) < page.Limit {
			break
		}
	}
	wantEqual(t, paged, list(webjob.ResultFilter{}))
	wantEqual(t, len(paged), 10)
}

func blobDigests(t *testing.T, s webjob.Store) {
	payload := webjob.Payload{Platform: "any", Digest: webjob.DigestOf([]byte("payload")), Size: 7}
	publish(t, s, version("j", 1, webjob.ScopeCommon), payload)
	part := webjob.Stream{Name: webjob.Stdout, Digest: webjob.DigestOf([]byte("large")), Size: 1 << 20}
	for _, run := range []string{"r1", "r2"} {
		addWithParts(t, s, result(run, "web1", "j", webjob.Succeeded, now), part)
	}
	got := map[webjob.Digest]int64{}
	must(t, s.BlobDigests(t.Context(), func(d webjob.Digest, size int64) error {
		if _, twice := got[d]; twice {
			t.Errorf("digest %s is named twice", d)
		}
		got[d] = size
		return nil
	}))
	wantEqual(t, got, map[webjob.Digest]int64{payload.Digest: 7, part.Digest: 1 << 20})
}

// manyWriters adds every result twice at the same time: each is there once.
func manyWriters(t *testing.T, s webjob.Store) {
	const runs = 200
	outcomes := make(chan bool, 2*runs)
	errs := make(chan error, 2*runs)
	for i := range 2 * runs {
		go func() {
			added, err := s.AddResult(context.Background(), result(fmt.Sprint("r", i%runs), "web1", "j", webjob.Succeeded, now), nil, webjob.ResultEffects{})
			outcomes <- added
			errs <- err
		}()
	}
	added := 0
	for range 2 * runs {
		must(t, <-errs)
		if <-outcomes {
			added++
		}
	}
	wantEqual(t, added, runs)
	rs, err := s.ListResults(t.Context(), webjob.ResultFilter{Page: webjob.Page{Limit: 1000}})
	must(t, err)
	wantEqual(t, len(rs), runs)
}

// failingAmongOthers mixes changes that clash with changes that do not.
func failingAmongOthers(t *testing.T, s webjob.Store) {
	publish(t, s, version("j", 5, webjob.ScopeCommon))
	const each = 50
	errs := make(chan error, 2*each)
	for i := range each {
		go func() {
			_, err := s.AddResult(context.Background(), result(fmt.Sprint("r", i), "web1", "j", webjob.Succeeded, now), nil, webjob.ResultEffects{})
			errs <- err
		}()
		go func() { errs <- tryPublish(s, version("j", 5, webjob.ScopeCommon)) }()
	}
	var kinds []webjob.Kind
	for range 2 * each {
		kinds = append(kinds, webjob.KindOf(<-errs))
	}
	slices.Sort(kinds)
	want := append(make([]webjob.Kind, each), slices.Repeat([]webjob.Kind{webjob.Conflict}, each)...)
	wantEqual(t, kinds, want)
}

func reopen(t *testing.T, open Open) {
	place := t.TempDir()
	s := open(t, place)
	enroll(t, s, "web1")
	publish(t, s, version("j", 1, webjob.ScopeCommon))
	_, err := s.AddResult(t.Context(), result("r", "web1", "j", webjob.Succeeded, now), nil, webjob.ResultEffects{})
	must(t, err)
	must(t, s.Close())
	s = open(t, place)
	defer func() { must(t, s.Close()) }()
	_, err = s.Client(t.Context(), "web1")
	must(t, err)
	_, err = s.JobVersion(t.Context(), "j", 1)
	must(t, err)
	_, err = s.Result(t.Context(), "r")
	must(t, err)
}
