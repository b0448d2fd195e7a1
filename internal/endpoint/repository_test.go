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
