package sqlite_test

import (
	"fmt"
	"math/big"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/store/sqlite"
	"webjob.dev/webjob/internal/store/sqlite/sqlitetest"
)

// fleet is a store with clients and jobs, all of which are remembered.
func fleet(t testing.TB, clients, jobs int) *sqlite.Store {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	opened, err := sqlitetest.Open(t.Context(), t.TempDir()+"/meta.db")
	must(err)
	t.Cleanup(func() { _ = opened.Close() })
	token := webjob.Token{ID: "t", Secret: webjob.DigestOf([]byte("t")), Role: webjob.RoleClient, Uses: int64(clients), Expires: time.Now().Add(time.Hour)}
	must(opened.AddToken(t.Context(), token))
	for i := range clients {
		client := webjob.Client{ID: fmt.Sprint("web", i), Labels: webjob.Labels{"env": "prod"}, Platform: "linux/amd64", EnrolledAt: time.Now()}
		certificate := webjob.Certificate{Serial: big.NewInt(int64(i)), NotAfter: time.Now().Add(time.Hour)}
		must(opened.Enroll(t.Context(), token.Secret, client, certificate, nil))
	}
	var change webjob.RepositoryChange
	for i := range jobs {
		change.Publish = append(change.Publish, webjob.JobVersion{
			Name: fmt.Sprint("job", i), Version: 1, Scope: webjob.ScopeCommon, Manifest: webjob.EmptyDigest, Expires: time.Now().Add(time.Hour), PublishedAt: time.Now(), Text: []byte("{}"),
		})
	}
	must(opened.ChangeRepository(t.Context(), change, time.Now()))
	ask(t, opened, clients, jobs)
	return opened
}

// ask asks what a request of each client asks, for each job.
func ask(t testing.TB, s webjob.Store, clients, jobs int) {
	t.Helper()
	for i := range clients {
		c, err := s.Client(t.Context(), fmt.Sprint("web", i))
		if err != nil {
			t.Fatal(err)
		}
		for j := range jobs {
			if _, err := s.FindJob(t.Context(), fmt.Sprint("job", j), webjob.ScopesFor(c.ID, c.Labels)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A change makes forgotten what is known about its subject, and nothing else.
func TestChangeDropsOnlyItsOwnAnswers(t *testing.T) {
	s := fleet(t, 3, 2)
	labels := map[string]webjob.Labels{"web1": {"env": "test"}}
	for name, c := range map[string]struct {
		change  func() error
		clients string // those that are still remembered
		jobs    string
	}{
		"facts":     {func() error { return s.SetFacts(t.Context(), "web1", webjob.Facts{OS: "linux"}) }, "0 2", "0 1"},
		"suspended": {func() error { return s.SuspendClient(t.Context(), "web1", "", time.Now()) }, "0 2", "0 1"},
		"seen": {func() error {
			return s.SawClients(t.Context(), map[string]time.Time{"web0": time.Now().Add(-time.Hour), "web1": time.Now()})
		}, "2", "0 1"},
		"labels": {func() error {
			return s.ChangeRepository(t.Context(), webjob.RepositoryChange{Labels: labels}, time.Now())
		}, "0 2", "0 1"},
		"listed": {func() error {
			return s.ChangeRepository(t.Context(), webjob.RepositoryChange{Listed: map[string][]int64{"job1": {1}}}, time.Now())
		}, "0 1 2", "0"},
		"a token": {func() error {
			return s.AddToken(t.Context(), webjob.Token{ID: "x", Secret: webjob.DigestOf([]byte("x")), Role: webjob.RoleClient, Uses: 1, Expires: time.Now()})
		}, "0 1 2", "0 1"},
		"a result": {func() error {
			_, err := s.AddResult(t.Context(), webjob.Result{Run: "r", Client: "web1", Job: "job1", Outcome: webjob.Failed, Started: time.Now(), Received: time.Now(), Record: []byte("{}")}, nil, webjob.ResultEffects{})
			return err
		}, "0 1 2", "0 1"},
	} {
		t.Run(name, func(t *testing.T) {
			ask(t, s, 3, 2)
			if err := c.change(); err != nil && webjob.KindOf(err) != webjob.NotFound {
				t.Fatal(err)
			}
			var clients, jobs string
			for i := range 3 {
				client, job := sqlite.Remembers(s, fmt.Sprint("web", i), fmt.Sprint("job", i))
				if client {
					clients += fmt.Sprint(" ", i)
				}
				if job {
					jobs += fmt.Sprint(" ", i)
				}
			}
			if clients != " "+c.clients || jobs != " "+c.jobs {
				t.Errorf("clients%s and jobs%s are remembered, want %s and %s", clients, jobs, c.clients, c.jobs)
			}
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	s := fleet(b, 1000, 1)
	scopes := webjob.ScopesFor("web7", webjob.Labels{"env": "prod"})
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := s.Client(b.Context(), "web7"); err != nil {
				b.Error(err)
			}
			if _, err := s.FindJob(b.Context(), "job0", scopes); err != nil {
				b.Error(err)
			}
		}
	})
}

// One client tells its facts before each look-up of 1,000 others.
func BenchmarkLookupBesideFacts(b *testing.B) {
	s := fleet(b, 1001, 1)
	b.ResetTimer()
	for b.Loop() {
		b.StopTimer()
		if err := s.SetFacts(b.Context(), "web1000", webjob.Facts{OS: "linux"}); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		ask(b, s, 1000, 1)
	}
}
