package sqlite_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/store/sqlite"
	"webjob.dev/webjob/internal/store/sqlite/sqlitetest"
	"webjob.dev/webjob/internal/store/storetest"
)

func open(t testing.TB, place string) webjob.Store {
	t.Helper()
	s, err := sqlitetest.Open(t.Context(), filepath.Join(place, "meta.db"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T, place string) webjob.Store { return open(t, place) })
}

// An older program must not touch tables that it does not know.
func TestNewerFileIsRefused(t *testing.T) {
	place := t.TempDir()
	if err := open(t, place).Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(place, "meta.db")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), file)
	if webjob.KindOf(err) != webjob.Invalid {
		t.Fatalf("got %v, %v, want an Invalid error", s, err)
	}
}

// Before there were roles, whoever had logged in or held a token for it could do all.
func TestOperatorsOfBeforeAreAdmins(t *testing.T) {
	place := t.TempDir()
	err := sqlite.OpenAt(t.Context(), filepath.Join(place, "meta.db"), 7,
		`INSERT INTO operators (name, key, enrolled_at) VALUES ('olga', 'sha256:1', 1000000)`,
		`INSERT INTO tokens (secret, id, role, labels, uses, expires) VALUES ('sha256:2', '2', 'operator', 'null', 1, 9), ('sha256:3', '3', 'client', '{"env":"prod"}', 4, 9)`,
		`INSERT INTO clients (id, labels, platform, key, enrolled_at, revoked_at) VALUES ('web1', '{}', 'linux/amd64', 'sha256:4', 1, 2), ('web2', '{}', 'linux/amd64', 'sha256:5', 1, NULL)`,
		`INSERT INTO certificates (serial, client, not_after) VALUES ('77', 'web1', 99), ('78', 'web2', 99)`)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, place)
	defer func() { _ = s.Close() }()
	admin := []webjob.Grant{{Role: webjob.Admin}}
	enrolled := time.Unix(1, 0).UTC()
	o, err := s.Operator(t.Context(), "olga")
	if want := (webjob.Operator{Name: "olga", Key: "sha256:1", EnrolledAt: enrolled, Expires: enrolled.Add(365 * 24 * time.Hour), Grants: admin}); err != nil || !reflect.DeepEqual(o, want) {
		t.Errorf("operator %+v, %v", o, err)
	}
	if err := s.ChangeOperator(t.Context(), "olga", admin, append(admin, webjob.Grant{Role: webjob.Viewer}), enrolled); err != nil {
		t.Error(err)
	}
	for secret, want := range map[webjob.Digest]webjob.Token{
		"sha256:2": {Role: webjob.RoleOperator, Grants: admin, Uses: 1, Total: 1}, "sha256:3": {Role: webjob.RoleClient, Uses: 4, Total: 4},
	} {
		token, err := s.Token(t.Context(), secret)
		if err != nil || token.Role != want.Role || !reflect.DeepEqual(token.Grants, want.Grants) || token.Uses != want.Uses || token.Total != want.Total {
			t.Errorf("token %+v, %v", token, err)
		}
	}
	revoked, err := s.RevokedCertificates(t.Context(), time.Unix(0, 0))
	if err != nil || len(revoked) != 1 || revoked[0].Holder != "web1" || revoked[0].Serial.Int64() != 77 {
		t.Errorf("revoked %+v, %v", revoked, err)
	}
}

// A full disk is told as such, loses nothing that was stored, and passes.
func TestFullDisk(t *testing.T) {
	place := t.TempDir()
	s := open(t, place)
	defer func() { _ = s.Close() }()
	put := func(content []byte) error {
		return s.ChangeRepository(t.Context(), webjob.RepositoryChange{Files: map[string][]byte{"file": content}}, time.Now())
	}
	if err := put([]byte("before")); err != nil {
		t.Fatal(err)
	}
	limit := sqlite.LimitPages(s.(*sqlite.Store), 1)
	if err := put(make([]byte, 4<<20)); webjob.KindOf(err) != webjob.Unavailable {
		t.Fatalf("got %v, want an Unavailable error", err)
	}
	err := s.RepositoryFiles(t.Context(), func(name string, content []byte) error {
		if string(content) != "before" {
			t.Errorf("%s holds %d bytes after the failure", name, len(content))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	limit()
	if err := put(make([]byte, 4<<20)); err != nil {
		t.Fatal(err)
	}
}

// Results that cannot all be removed all stay, and go on to name their blobs.
func TestFailedPruningRemovesNothing(t *testing.T) {
	s := open(t, t.TempDir())
	defer func() { _ = s.Close() }()
	blob := webjob.Stream{Name: webjob.Stdout, Digest: webjob.DigestOf([]byte("blob")), Size: 4}
	for _, run := range []string{"run1", "run2"} {
		r := webjob.Result{Run: run, Client: "web1", Job: "job", Version: 1, Outcome: webjob.Succeeded, Started: time.Now(), Received: time.Now(), Record: []byte("{}")}
		held, err := s.HoldBlobs(t.Context(), webjob.Hold{Owner: "web1", Use: run, Blobs: []webjob.HeldBlob{{Digest: blob.Digest, Size: 4}}, Until: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.AddResult(t.Context(), r, []webjob.Stream{blob}, webjob.ResultEffects{Held: held}); err != nil {
			t.Fatal(err)
		}
	}
	before, err := s.Storage(t.Context(), "web1")
	if err != nil {
		t.Fatal(err)
	}
	sqlite.Exec(s.(*sqlite.Store), `CREATE TRIGGER broken BEFORE DELETE ON results WHEN old.run = 'run2' BEGIN SELECT RAISE(ABORT, 'no'); END`)
	if removed, err := s.PruneResults(t.Context(), []int64{1, 2}); err == nil || removed != 0 {
		t.Fatalf("removed %d results: %v", removed, err)
	}
	if _, err := s.Result(t.Context(), "run1"); err != nil {
		t.Fatal(err)
	}
	after, err := s.Storage(t.Context(), "web1")
	if err != nil || after != before {
		t.Errorf("%+v is stored (%v), before it was %+v", after, err, before)
	}
	if condemned, err := s.CondemnBlobs(t.Context(), []webjob.Digest{blob.Digest}, time.Now()); err != nil || len(condemned) != 0 {
		t.Errorf("condemned %v: %v", condemned, err)
	}
}

// A version that an operator withdrew alone, with a server that let one person do that, is
// given out again as long as its signed index lists it.
func TestWithdrawalsThatNobodySignedAreUndone(t *testing.T) {
	s := open(t, t.TempDir())
	defer func() { _ = s.Close() }()
	version := func(n int64) webjob.JobVersion {
		return webjob.JobVersion{Name: "job", Version: n, Scope: webjob.ScopeCommon, Manifest: webjob.EmptyDigest, PublishedAt: time.Now(), Expires: time.Now().Add(time.Hour), Text: []byte("{}")}
	}
	index := []byte(`{"format":"webjob-index/1","job":"job","latest":2,"versions":[{"manifest":"x","scope":"common","version":2}]}`)
	if err := s.ChangeRepository(t.Context(), webjob.RepositoryChange{
		Files: map[string][]byte{"content/jobs/job": index}, Publish: []webjob.JobVersion{version(1), version(2)}, Listed: map[string][]int64{"job": {2}},
	}, time.Now()); err != nil {
		t.Fatal(err)
	}
	sqlite.Exec(s.(*sqlite.Store), `UPDATE jobs SET withdrawn_at = 1`)
	migration, err := filepath.Glob("migrations/*_withdrawn.sql")
	if err != nil || len(migration) != 1 {
		t.Fatalf("the migration is %q, %v", migration, err)
	}
	text, err := os.ReadFile(migration[0])
	if err != nil {
		t.Fatal(err)
	}
	sqlite.Exec(s.(*sqlite.Store), string(text))
	for n, withdrawn := range map[int64]bool{1: true, 2: false} {
		if v, err := s.JobVersion(t.Context(), "job", n); err != nil || v.WithdrawnAt.IsZero() == withdrawn {
			t.Errorf("version %d: withdrawn at %v, %v", n, v.WithdrawnAt, err)
		}
	}
}
