package override

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/config"
)

func layers(t *testing.T, files map[string]string) *Set {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Read(dir, []string{"gate"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Each layer wins over those before it, key by key; among groups the first in sorted
// order wins.
func TestLaterLayersWin(t *testing.T) {
	s := layers(t, map[string]string{
		"global.toml":                "put_url = 'https://global'\n[limits]\nnice = 1\nprocesses = 1\ncpu = '1s'",
		"group/env=prod.toml":        "[limits]\nnice = 2\nprocesses = 2",
		"group/role=db.toml":         "[limits]\nnice = 3\nprocesses = 3\nmemory = '3MiB'",
		"client/db1.toml":            "[limits]\nprocesses = 4",
		"job/backup.toml":            "retention = '48h'\nhooks = []",
		"client-job/db1@backup.toml": "put_url = 'https://both'",
	})
	labels := webjob.Labels{"env": "prod", "role": "db"}
	e := s.For("db1", labels, "backup")
	want := webjob.Limits{Nice: 2, Processes: 4, CPUSeconds: 1, MemoryBytes: 3 << 20}
	if e.Limits != want || e.PutURL != "https://both" || e.Retention != 48*time.Hour || e.HasHook("gate") {
		t.Errorf("got %+v", e)
	}
	e = s.For("web1", nil, "other")
	if e.Limits != (webjob.Limits{Nice: 1, Processes: 1, CPUSeconds: 1}) || e.PutURL != "https://global" || e.Retention != 0 || !e.HasHook("gate") {
		t.Errorf("got %+v", e)
	}
	if none := (&Set{}).For("web1", nil, "job"); none.Bounds() || none.Paused {
		t.Errorf("no files say %+v", none)
	}
}

// What a client may have stored is set for clients, not for jobs.
func TestMaxStoredIsOfClients(t *testing.T) {
	s := layers(t, map[string]string{"global.toml": "max_stored = '1GiB'", "client/db1.toml": "max_stored = '2GiB'"})
	if got := s.For("db1", nil, "job").MaxStored; got != 2<<30 {
		t.Errorf("db1 may have %d", got)
	}
	if got := s.For("web1", nil, "").MaxStored; got != 1<<30 {
		t.Errorf("web1 may have %d", got)
	}
	if got := (&Set{}).For("web1", nil, "").MaxStored; got != DefaultMaxStored {
		t.Errorf("without files %d", got)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"job/backup.toml": "include = ['include/a.toml']", "include/a.toml": "\nmax_stored = '2GiB'"} {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Read(dir, nil); err == nil || !strings.Contains(err.Error(), "a.toml:2: max_stored: it holds for a client") {
		t.Errorf("in the file of a job: %v", err)
	}
}

// Results are dated anew only when what holds for them has changed.
func TestRetentionRules(t *testing.T) {
	none := (&Set{}).RetentionRules()
	if other := layers(t, map[string]string{"global.toml": "[limits]\nnice = 1"}).RetentionRules(); other != none {
		t.Error("other keys count")
	}
	seen := map[webjob.Digest]bool{none: true}
	for _, files := range []map[string]string{
		{"global.toml": "retention = '48h'"}, {"global.toml": "retention = '49h'"}, {"global.toml": "retention = '0s'"}, {"client/a.toml": "retention = '48h'"},
	} {
		rules := layers(t, files).RetentionRules()
		if seen[rules] || rules != layers(t, files).RetentionRules() {
			t.Errorf("%v: %s", files, rules)
		}
		seen[rules] = true
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte("include = ['include/a.toml']\nallow_addresses = ['10.0.0.0/8']\nretention = '720h'\n[limits]\nrun = '1s'\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var v values
		if config.Decode("f.toml", data, &v) != nil {
			return
		}
		e := &Effective{}
		e.apply(file{values: v}, func(string) {})
		if e.Limits.Nice < 0 || e.Limits.Nice > 19 || e.Limits.RunMS < 0 || e.Retention < 0 {
			t.Fatalf("accepted %+v", e)
		}
	})
}
