package spool_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint/spool"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func record(run string) *webjob.Record {
	return &webjob.Record{
		Format: webjob.RecordFormat, Run: run, Client: "web1", Job: "job", Version: 1, PutURL: "https://h:1",
		Outcome: webjob.Interrupted, Limits: webjob.DefaultLimits(), Times: webjob.Times{Get: webjob.Phase{Start: time.Unix(1, 0).UTC()}},
	}
}

func open(t *testing.T) (*spool.Spool, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "spool")
	s, err := spool.Open(dir)
	must(t, err)
	return s, dir
}

// begin begins a run and writes to its standard output.
func begin(t *testing.T, s *spool.Spool, run, out string) *spool.Entry {
	t.Helper()
	entry, stdout, stderr, err := s.Begin(record(run))
	must(t, err)
	_, err = stdout.WriteString(out)
	must(t, errors.Join(err, stdout.Close(), stderr.Close()))
	return entry
}

func states(t *testing.T, s *spool.Spool) map[string]spool.State {
	t.Helper()
	list, err := s.List()
	must(t, err)
	got := map[string]spool.State{}
	for _, status := range list {
		got[status.Run] = status.State
	}
	return got
}

func seal(t *testing.T, e *spool.Entry, out string) {
	t.Helper()
	r := record(e.Run())
	r.Outcome = webjob.Succeeded
	r.Parts = []webjob.Stream{{Name: webjob.Stdout, Digest: webjob.DigestOf([]byte(out)), Size: int64(len(out)), Written: int64(len(out))}}
	must(t, e.Seal(r))
}

func body(t *testing.T, e *spool.Entry) (*webjob.Record, string) {
	t.Helper()
	result, err := e.Open()
	must(t, err)
	all, err := io.ReadAll(result.Body)
	must(t, errors.Join(err, result.Close()))
	if int64(len(all)) != result.Length || string(all[:len(result.Exact)]) != string(result.Exact) {
		t.Fatalf("the body has %d bytes, said %d", len(all), result.Length)
	}
	return result.Record, string(all[len(result.Exact):])
}

func TestLifeOfARun(t *testing.T) {
	s, dir := open(t)
	entry := begin(t, s, "run1", "hello")
	if got := states(t, s)["run1"]; got != spool.Running {
		t.Fatalf("a run under way is %s", got)
	}
	if other, err := s.Lock("run1"); other != nil || err != nil {
		t.Fatalf("a run under way was taken: %v, %v", other, err)
	}
	seal(t, entry, "hello")
	must(t, entry.Unlock())
	if got := states(t, s)["run1"]; got != spool.Waiting {
		t.Fatalf("a sealed run is %s", got)
	}
	entry, err := s.Lock("run1")
	must(t, err)
	r, out := body(t, entry)
	if r.Outcome != webjob.Succeeded || out != "hello" {
		t.Fatalf("got %+v, %q", r, out)
	}
	must(t, entry.Remove())
	if left, err := os.ReadDir(dir); err != nil || len(left) > 1 { // the empty trash folder may stay
		t.Fatalf("left %v, %v", left, err)
	}
	if entry, err = s.Lock("run1"); entry != nil || err != nil {
		t.Fatalf("a removed run was locked: %v, %v", entry, err)
	}
}

// What a killed process had written so far becomes an interrupted result.
func TestInterruptedRunIsCompleted(t *testing.T) {
	s, _ := open(t)
	must(t, begin(t, s, "run1", "partial").Unlock()) // as the kernel does for the dead
	if got := states(t, s)["run1"]; got != spool.Interrupted {
		t.Fatalf("it is %s", got)
	}
	entry, err := s.Lock("run1")
	must(t, err)
	r, out := body(t, entry)
	if r.Outcome != webjob.Interrupted || r.Reason == "" || out != "partial" {
		t.Fatalf("got %+v, %q", r, out)
	}
	must(t, entry.Unlock())
	// Completing it is done once: the record must stay the same in every upload.
	first, err := entry.Open()
	must(t, err)
	again, err := s.Lock("run1")
	must(t, err)
	second, err := again.Open()
	must(t, err)
	if string(first.Exact) != string(second.Exact) {
		t.Fatal("the record changed")
	}
	must(t, errors.Join(first.Close(), second.Close(), again.Unlock()))
}

// A process killed between making the folder and writing to it left nothing worth
// keeping.
func TestRunThatNeverBeganGoes(t *testing.T) {
	s, dir := open(t)
	must(t, os.Mkdir(filepath.Join(dir, "run1"), 0o700))
	if entry, err := s.Lock("run1"); entry != nil || err != nil {
		t.Fatalf("got %v, %v", entry, err)
	}
	if got := states(t, s); len(got) != 0 {
		t.Fatalf("left %v", got)
	}
}

// A removal that was cut off leaves nothing half removed in the list.
func TestInterruptedRemovalIsFinished(t *testing.T) {
	s, dir := open(t)
	trash := filepath.Join(dir, ".trash", "run1")
	must(t, os.MkdirAll(trash, 0o700))
	must(t, os.WriteFile(filepath.Join(trash, "stdout"), []byte("x"), 0o600))
	if got := states(t, s); len(got) != 0 {
		t.Fatalf("got %v", got)
	}
	_, err := spool.Open(dir)
	must(t, err)
	if _, err := os.Stat(trash); !os.IsNotExist(err) {
		t.Fatalf("still there: %v", err)
	}
}

func TestDamage(t *testing.T) {
	s, dir := open(t)
	entry := begin(t, s, "run1", "hello")
	seal(t, entry, "hello")
	must(t, entry.Unlock())
	stdout, rec := filepath.Join(dir, "run1", "stdout"), filepath.Join(dir, "run1", "record.json")
	good, err := os.ReadFile(rec)
	must(t, err)

	must(t, os.Truncate(stdout, 2))
	entry, err = s.Lock("run1")
	must(t, err)
	if _, err := entry.Open(); webjob.KindOf(err) != webjob.Invalid {
		t.Errorf("a stream cut short: %v", err)
	}
	must(t, entry.Unlock())
	for name, text := range map[string]string{"empty": "", "not JSON": "ELF", "another run": `{"format":"webjob-run/1","run":"run2","client":"c","job":"j","outcome":"failed"}`, "cut short": string(good[:len(good)/2])} {
		must(t, os.WriteFile(rec, []byte(text), 0o600))
		if got := states(t, s)["run1"]; got != spool.Damaged {
			t.Errorf("%s: it is %s", name, got)
		}
	}
}

func TestNamesAreChecked(t *testing.T) {
	s, _ := open(t)
	for _, run := range []string{"../x", "", "a/b", ".trash"} {
		if _, err := s.Lock(run); webjob.KindOf(err) != webjob.Invalid {
			t.Errorf("Lock(%q): %v", run, err)
		}
		if _, err := s.Record(run); webjob.KindOf(err) != webjob.Invalid {
			t.Errorf("Record(%q): %v", run, err)
		}
		if _, _, _, err := s.Begin(record(run)); webjob.KindOf(err) != webjob.Invalid {
			t.Errorf("Begin(%q): %v", run, err)
		}
	}
}

func TestUsageCountsWhatWaits(t *testing.T) {
	s, _ := open(t)
	if runs, bytes, err := s.Usage(); err != nil || runs != 0 || bytes != 0 {
		t.Errorf("an empty spool: %d runs, %d bytes, %v", runs, bytes, err)
	}
	seal(t, begin(t, s, "a1.web1", strings.Repeat("x", 5000)), strings.Repeat("x", 5000))
	begin(t, s, "a2.web1", "")
	runs, bytes, err := s.Usage()
	if err != nil || runs != 2 || bytes < 5000 || bytes > 50_000 {
		t.Errorf("%d runs, %d bytes, %v", runs, bytes, err)
	}
}
