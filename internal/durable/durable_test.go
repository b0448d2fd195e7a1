package durable

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// names returns what a folder holds.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var list []string
	for _, entry := range entries {
		list = append(list, entry.Name())
	}
	return list
}

func content(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	return string(text)
}

var errDisk = errors.New("the disk is gone")

// failing is a system of which one call fails. It notes the calls, and looks at the
// file under its name before each: what a crash at this point would leave.
type failing struct {
	system
	at     string
	calls  []string
	before func(call string)
}

func (s *failing) step(call string) error {
	s.calls = append(s.calls, call)
	if s.before != nil {
		s.before(call)
	}
	if call == s.at {
		return errDisk
	}
	return nil
}

func (s *failing) sync(f *os.File) error {
	return errors.Join(s.step("sync"), s.system.sync(f))
}

func (s *failing) close(f *os.File) error {
	return errors.Join(s.step("close"), s.system.close(f))
}

func (s *failing) rename(from, to string) error {
	if err := s.step("rename"); err != nil {
		return err
	}
	return s.system.rename(from, to)
}

func (s *failing) syncFolder(dir string) error {
	return errors.Join(s.step("sync of the folder"), s.system.syncFolder(dir))
}

// Whatever fails, and wherever a crash ends it, the name has its old content or the new
// one, whole; and no temporary file stays behind an error.
func TestWriteIsWholeOrNotAtAll(t *testing.T) {
	for _, at := range []string{"", "sync", "close", "rename", "sync of the folder"} {
		dir := t.TempDir()
		file := filepath.Join(dir, "name")
		must(t, Write(file, []byte("old")))
		sys := &failing{at: at, before: func(call string) {
			want := "old"
			if call == "sync of the folder" {
				want = "new"
			}
			if got := content(t, file); got != want {
				t.Errorf("a crash before %s leaves %q", call, got)
			}
		}}
		f, err := begin(dir, sys)
		must(t, err)
		_, err = f.Write([]byte("new"))
		must(t, err)
		err = f.Commit(file)
		f.Discard()
		want := "old"
		if at == "" || at == "sync of the folder" {
			want = "new" // it is there; only that it stays is not known
		}
		if (at != "") != errors.Is(err, errDisk) || content(t, file) != want {
			t.Errorf("%s fails: %v, and %q is there", at, err, content(t, file))
		}
		if left := names(t, dir); !slices.Equal(left, []string{"name"}) {
			t.Errorf("%s fails: the folder holds %q", at, left)
		}
		if order := []string{"sync", "close", "rename", "sync of the folder"}; !slices.Equal(sys.calls, order[:len(sys.calls)]) {
			t.Errorf("the calls were %q", sys.calls)
		}
	}
}

// A new file that cannot be made durable is not left either.
func TestCreateFails(t *testing.T) {
	for _, at := range []string{"sync", "sync of the folder"} {
		dir := t.TempDir()
		if err := create(filepath.Join(dir, "name"), []byte("new"), &failing{at: at}); !errors.Is(err, errDisk) {
			t.Errorf("%s fails: %v", at, err)
		}
		if left := names(t, dir); len(left) != 0 {
			t.Errorf("%s fails: the folder holds %q", at, left)
		}
	}
}

func TestCreateIsExclusive(t *testing.T) {
	file := filepath.Join(t.TempDir(), "name")
	var group sync.WaitGroup
	var made [8]bool
	for i := range made {
		group.Go(func() {
			err := Create(file, []byte{byte('0' + i)})
			if made[i] = err == nil; err != nil && !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	first := slices.Index(made[:], true)
	if first < 0 || slices.Contains(made[first+1:], true) || content(t, file) != string(rune('0'+first)) {
		t.Errorf("%v made it, and it holds %q", made, content(t, file))
	}
}

// Readers see one content or the other while a writer changes them.
func TestReadersSeeWholeFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "name")
	long, short := bytes.Repeat([]byte("long "), 20_000), []byte("short")
	must(t, WriteUnsynced(file, short))
	done := make(chan error)
	go func() {
		var err error
		for i := 0; i < 200 && err == nil; i++ {
			err = errors.Join(WriteUnsynced(file, long), WriteUnsynced(file, short))
		}
		done <- err
	}()
	for {
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, long) && !bytes.Equal(got, short) {
			t.Errorf("a reader sees %d bytes, %v", len(got), err)
		}
		select {
		case err := <-done:
			must(t, err)
			return
		default:
		}
	}
}

func TestFilesArePrivate(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	must(t, os.WriteFile(open, []byte("old"), 0o644))
	must(t, Write(open, []byte("secret")))
	must(t, Create(filepath.Join(dir, "new"), []byte("secret")))
	must(t, WriteUnsynced(filepath.Join(dir, "status"), []byte("secret")))
	for _, name := range names(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode().Perm())
		}
	}
}

// A link that somebody put in the place of a file does not lead writes elsewhere.
func TestLinksAreNotFollowed(t *testing.T) {
	dir := t.TempDir()
	elsewhere, link := filepath.Join(t.TempDir(), "elsewhere"), filepath.Join(dir, "link")
	must(t, os.WriteFile(elsewhere, []byte("theirs"), 0o600))
	must(t, os.Symlink(elsewhere, link))
	if err := Create(link, []byte("ours")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a new file at a link: %v", err)
	}
	must(t, Write(link, []byte("ours")))
	info, err := os.Lstat(link)
	must(t, err)
	if content(t, elsewhere) != "theirs" || !info.Mode().IsRegular() || content(t, link) != "ours" {
		t.Errorf("the link's target holds %q, and the name is %v", content(t, elsewhere), info.Mode())
	}
	// A dangling one would have made a file where it points to.
	must(t, os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "dangling")))
	if err := Create(filepath.Join(dir, "dangling"), nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a new file at a dangling link: %v", err)
	}
}

// What is in the way, or missing, is an error that leaves everything as it was.
func TestWriteWithoutAPlace(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "folder", "inside"), 0o700))
	if err := Write(filepath.Join(dir, "folder"), []byte("x")); err == nil {
		t.Error("a folder was replaced")
	}
	if err := Write(filepath.Join(dir, "missing", "name"), []byte("x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a folder that is not there: %v", err)
	}
	if left := names(t, dir); !slices.Equal(left, []string{"folder"}) {
		t.Errorf("the folder holds %q", left)
	}
}

func TestRenameReplaces(t *testing.T) {
	dir := t.TempDir()
	must(t, Write(filepath.Join(dir, "a"), []byte("a")))
	must(t, Write(filepath.Join(dir, "b"), []byte("b")))
	must(t, Rename(filepath.Join(dir, "a"), filepath.Join(dir, "b")))
	if left := names(t, dir); !slices.Equal(left, []string{"b"}) || content(t, filepath.Join(dir, "b")) != "a" {
		t.Errorf("the folder holds %q", left)
	}
}

// Only what a crash left, and long ago, is swept.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	must(t, Write(filepath.Join(dir, "name"), nil))
	must(t, os.Mkdir(filepath.Join(dir, draftPrefix+"folder"), 0o700))
	f, err := New(dir)
	must(t, err)
	defer f.Discard()
	must(t, Sweep(dir, time.Now().Add(-time.Hour)))
	if left := names(t, dir); len(left) != 3 {
		t.Errorf("a write under way was swept: %q", left)
	}
	must(t, Sweep(dir, time.Now().Add(time.Hour)))
	if left := names(t, dir); !slices.Equal(left, []string{draftPrefix + "folder", "name"}) {
		t.Errorf("left: %q", strings.Join(left, " "))
	}
	must(t, Sweep(filepath.Join(dir, "missing"), time.Now()))
}
