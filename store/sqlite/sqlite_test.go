package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"webjob.dev/webjob"
	"webjob.dev/webjob/store/sqlite"
	"webjob.dev/webjob/store/storetest"
)

func open(t *testing.T, place string) webjob.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(place, "meta.db"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) { storetest.Run(t, open) }

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

// A full disk is told as such, loses nothing that was stored, and passes.
func TestFullDisk(t *testing.T) {
	place := t.TempDir()
	s := open(t, place)
	defer func() { _ = s.Close() }()
	if err := s.SetTrustRoot(t.Context(), []byte("before")); err != nil {
		t.Fatal(err)
	}
	limit := sqlite.LimitPages(s.(*sqlite.Store), 1)
	err := s.SetTrustRoot(t.Context(), make([]byte, 4<<20))
	if webjob.KindOf(err) != webjob.Unavailable {
		t.Fatalf("got %v, want an Unavailable error", err)
	}
	if root, err := s.TrustRoot(t.Context()); err != nil || string(root) != "before" {
		t.Fatalf("got %q, %v after the failure", root, err)
	}
	limit()
	if err := s.SetTrustRoot(t.Context(), make([]byte, 4<<20)); err != nil {
		t.Fatal(err)
	}
}
