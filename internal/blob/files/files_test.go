package files_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
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

// However many pieces an upload has, its bytes are digested once, and once more after a
// restart; what another process left is read, not believed.
func TestPiecesAreDigestedOnce(t *testing.T) {
	dir := t.TempDir()
	content := bytes.Repeat([]byte("x"), 100_000)
	u := webjob.Upload{Owner: "web1", Digest: webjob.DigestOf(content), Size: int64(len(content))}
	var reread int64
	start := func() *files.Store {
		s, err := files.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		files.TellReread(s, func(n int64) { reread += n })
		return s
	}
	piece := func(s *files.Store, n int64) error {
		have, err := s.Upload(t.Context(), u, bytes.NewReader(content[u.Offset:u.Offset+n]))
		u.Offset = have
		return err
	}
	s := start()
	for range 50 {
		if err := piece(s, 1000); webjob.KindOf(err) != webjob.Unavailable {
			t.Fatal(err)
		}
	}
	if reread != 0 {
		t.Errorf("%d bytes were read again", reread)
	}
	s = start()
	for range 49 {
		if err := piece(s, 1000); webjob.KindOf(err) != webjob.Unavailable {
			t.Fatal(err)
		}
	}
	if reread != 50_000 {
		t.Errorf("%d bytes were read again after a restart, want those that were there", reread)
	}
	part := filepath.Join(dir, "uploads", "web1", u.Digest.Hex()+".part")
	damaged, err := os.ReadFile(part)
	if err != nil {
		t.Fatal(err)
	}
	damaged[7] = 'y' // as a crash of the machine may leave it
	if err := os.WriteFile(part, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := piece(start(), 1000); webjob.KindOf(err) != webjob.Invalid {
		t.Errorf("a damaged upload: %v", err)
	}
}

// A blob that is put or adopted once more is as new as then: a sweeper that is late leaves
// it alone.
func TestBlobsAreAsNewAsTheirLastUse(t *testing.T) {
	dir := t.TempDir()
	s, err := files.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	content := []byte("content")
	d := webjob.DigestOf(content)
	use := map[string]func() error{
		"put":   func() error { return s.Put(t.Context(), d, 7, bytes.NewReader(content)) },
		"adopt": func() error { return s.Adopt(t.Context(), "web1", d, 7) },
	}
	if _, err := s.Upload(t.Context(), webjob.Upload{Owner: "web1", Digest: d, Size: 7}, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	for name, use := range use {
		if err := s.Put(t.Context(), d, 7, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		longAgo := time.Now().Add(-24 * time.Hour)
		if err := os.Chtimes(filepath.Join(dir, d.Hex()[:2], d.Hex()), longAgo, longAgo); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(use(), s.Remove(t.Context(), d, time.Now().Add(-time.Hour))); err != nil {
			t.Fatal(err)
		}
		if has, err := s.Has(t.Context(), d); err != nil || !has {
			t.Errorf("%s: it is gone (%v)", name, err)
		}
	}
}
