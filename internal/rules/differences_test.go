package rules

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob/internal/config"
	"webjob.dev/webjob/internal/hook"
)

// triggers is a configuration.
type triggers struct {
	Triggers []hook.Settings `toml:"trigger"`
}

// Check implements [config.Checker].
func (s *triggers) Check() error { return hook.CheckTriggers(s.Triggers) }

// read makes a set of a configuration with some triggers and files.
func read(t *testing.T, text string, files map[string]string, overdue time.Duration) *Set {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var settings triggers
	if err := config.Decode("test.toml", []byte(text), &settings); err != nil {
		t.Fatal(err)
	}
	set, err := Read(nil, settings.Triggers, dir, overdue)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// What changed is told by its name, and never what it says.
func TestDifferences(t *testing.T) {
	trigger := func(name, argument string) string {
		return "[[trigger]]\nname = \"" + name + "\"\non = [\"order_done\"]\nclients = \"env=prod\"\ncommand = [\"/bin/true\", \"" + argument + "\"]\n"
	}
	before := read(t, trigger("same", "a")+trigger("other", "hush1")+trigger("old", "a"), map[string]string{"global.toml": "retention = \"1h\"\n", "client/web1.toml": "schedules = \"pause\"\n"}, 0)
	after := read(t, trigger("same", "a")+trigger("other", "hush2")+trigger("new", "a"), map[string]string{"global.toml": "retention = \"2h\"\n", "job/j.toml": "retention = \"3h\"\n"}, time.Hour)
	want := []string{
		"trigger new: new", "trigger old: gone", "trigger other: changed",
		"file client/web1.toml: gone", "file global.toml: changed", "file job/j.toml: new", "setting clients.overdue: changed",
	}
	got := Differences(before, after)
	if !slices.Equal(got, want) || strings.Contains(strings.Join(got, " "), "hush") {
		t.Errorf("got %q", got)
	}
	if same := Differences(after, after); len(same) > 0 {
		t.Errorf("nothing changed, and it tells %q", same)
	}
}
