package files_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/blob/blobtest"
	"webjob.dev/webjob/internal/blob/files"
)

func TestContract(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) webjob.Blobs {
		s, err := files.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// What a killed server left half written is gone after Recover, and what it had
// finished is still there.
func TestRecoverClearsInterruptedPuts(t *testing.T) {
	dir := t.TempDir()
	s, err := files.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	content := []byte("finished")
	if err := s.Put(t.Context(), webjob.DigestOf(content), int64(len(content)), bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(dir, "tmp", "put-half")
	if err := os.WriteFile(half, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err = files.Open(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(half); !os.IsNotExist(err) {
		t.Fatalf("the half-written file is still there: %v", err)
	}
	if has, err := s.Has(t.Context(), webjob.DigestOf(content)); err != nil || !has {
		t.Fatalf("the finished blob is gone: %v", err)
	}
}

// An upload that goes on outlives a restart, one that was given up does not.
func TestRecoverRemovesUploadsThatWereGivenUp(t *testing.T) {
	dir := t.TempDir()
	s, err := files.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	fresh, old := webjob.DigestOf([]byte("fresh")), webjob.DigestOf([]byte("old"))
	for _, d := range []webjob.Digest{fresh, old} {
		if _, err := s.Upload(t.Context(), webjob.Upload{Owner: "web1", Digest: d, Size: 100, Most: 1000}, strings.NewReader("part")); webjob.KindOf(err) != webjob.Unavailable {
			t.Fatal(err)
		}
	}
	longAgo := time.Now().Add(-8 * 24 * time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "uploads", "web1", old.Hex()+".part"), longAgo, longAgo); err != nil {
		t.Fatal(err)
	}
	if err := s.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	for d, want := range map[webjob.Digest]int64{fresh: 4, old: 0} {
		if have, err := s.Uploaded(t.Context(), "web1", d); err != nil || have != want {
			t.Errorf("%d bytes (%v), want %d", have, err, want)
		}
	}
}
