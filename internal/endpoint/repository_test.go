package endpoint_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint"
	"webjob.dev/webjob/internal/trust"
)

// What is kept of the job repository only moves forward, whoever writes last, and what
// was damaged is not read as if nothing had been seen.
func TestKeptRepositoryMovesForward(t *testing.T) {
	w := newOrderWorld(t)
	e, err := w.state.Enrolments.With(endpoint.TargetGet)
	must(t, err)
	paths := []string{trust.PolicyPath, trust.ClientPath("web1")}
	older, err := w.repository.Pinned().Update(w.repository.Bundle(w.repository.Pinned(), paths...), time.Now())
	must(t, err)
	w.repository.Change(map[string][]byte{trust.ClientPath("web1"): []byte(`{"labels":{"env":"lab"}}`)})
	newer, err := older.Update(w.repository.Bundle(older, paths...), time.Now())
	must(t, err)
	must(t, w.state.Repository.Keep(e, newer))
	must(t, w.state.Repository.Keep(e, older)) // another process, which began earlier
	kept, err := w.state.Repository.Read(e, time.Now())
	must(t, err)
	if kept.Timestamp() != newer.Timestamp() {
		t.Errorf("kept %d after %d", kept.Timestamp(), newer.Timestamp())
	}
	if labels, found, err := kept.Labels("web1"); err != nil || !found || labels["env"] != "lab" {
		t.Errorf("labels %v, %v, %v", labels, found, err)
	}
	file := filepath.Join(w.dir, "get", "repository.json")
	text, err := os.ReadFile(file)
	must(t, err)
	must(t, os.WriteFile(file, text[:len(text)/2], 0o600))
	if _, err := w.state.Repository.Read(e, time.Now()); webjob.KindOf(err) != webjob.Invalid || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("a damaged one: %v", err)
	}
}

// A repository whose root has expired here, mostly by a wrong clock, still guards against
// older files, and nobody is told to remove it.
func TestExpiredRepositoryStaysTheMemory(t *testing.T) {
	w := newOrderWorld(t)
	e, err := w.state.Enrolments.With(endpoint.TargetGet)
	must(t, err)
	pinned := w.repository.Pinned()
	older := w.repository.Bundle(pinned)
	w.repository.Change(map[string][]byte{trust.ClientPath("web1"): []byte(`{"labels":{"env":"lab"}}`)})
	newest, err := pinned.Update(w.repository.Bundle(pinned), time.Now())
	must(t, err)
	must(t, w.state.Repository.Keep(e, newest))

	later := time.Now().Add(2 * trust.OfflineLifetime)
	kept, err := w.state.Repository.Read(e, later)
	must(t, err)
	if kept.Timestamp() != newest.Timestamp() {
		t.Errorf("the kept timestamp %d is taken for %d", newest.Timestamp(), kept.Timestamp())
	}
	tells := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "and here it is "+later.UTC().Format(time.RFC3339)+"; check this clock") || strings.Contains(err.Error(), "remove") {
			t.Errorf("%s: %v", what, err)
		}
	}
	tells("fresh", kept.Fresh(later))
	_, err = kept.Update(w.repository.Bundle(kept), later)
	tells("update", err)
	if _, _, err := kept.Labels("web1"); webjob.KindOf(err) != webjob.Unavailable {
		t.Errorf("labels of an expired one: %v", err)
	}
	// The clock is right again: older files are noticed, newer ones taken.
	if _, err := kept.Update(older, time.Now()); webjob.KindOf(err) != webjob.Refused {
		t.Errorf("an older timestamp: %v", err)
	}
	_, err = kept.Update(w.repository.Bundle(kept), time.Now())
	must(t, err)
}
