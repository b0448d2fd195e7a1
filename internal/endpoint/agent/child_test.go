package agent

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// launched starts a shell script in the place of "webjob ordered".
func launched(t *testing.T, script string, offer wire.Offer) *child {
	t.Helper()
	program := filepath.Join(t.TempDir(), "webjob")
	must(t, os.WriteFile(program, []byte("#!/bin/sh\n"+script), 0o700))
	l := &launcher{program: program, dir: t.TempDir(), log: slog.New(slog.NewTextHandler(&bytes.Buffer{}, nil))}
	p, err := l.launch(offer)
	must(t, err)
	return p.(*child)
}

func TestHowRunsEnd(t *testing.T) {
	for script, want := range map[string]end{
		"exit 0": endKept, "exit 75": endAgain, "exit 76": endLost, "exit 77": endRefused, "exit 1": endAgain, "kill -9 $$": endAgain,
	} {
		if got := launched(t, script, wire.Offer{Run: "o1.web1"}).wait(); got != want {
			t.Errorf("%s: %v, want %v", script, got, want)
		}
	}
}

// A process that reads nothing, not even a large offer, keeps neither the agent nor the
// word to stop waiting; one line that is too long does not block it.
func TestProcessesThatDoNotReadHoldNobodyUp(t *testing.T) {
	offer := wire.Offer{Run: "o1.web1", Order: make([]byte, trust.MaxEnvelopeBytes)} // more than a pipe takes
	c := launched(t, "head -c 1000000 /dev/zero | tr '\\0' x >&2; exec sleep 1000", offer)
	for range 3 {
		c.stop()
	}
	c.kill()
	if got := c.wait(); got != endAgain {
		t.Errorf("%v", got)
	}
	if got := launched(t, "head -c 1000000 /dev/zero | tr '\\0' x >&2", wire.Offer{Run: "o1.web1"}).wait(); got != endKept {
		t.Errorf("after a line that is too long: %v", got)
	}
}

// A process gets its offer, and the word to stop once.
func TestProcessesAreTold(t *testing.T) {
	out := filepath.Join(t.TempDir(), "told")
	c := launched(t, "head -n 2 >"+out, wire.Offer{Run: "o1.web1"})
	c.stop()
	c.stop()
	if got := c.wait(); got != endKept {
		t.Errorf("%v", got)
	}
	text, err := os.ReadFile(out)
	must(t, err)
	if lines := strings.Split(strings.TrimSpace(string(text)), "\n"); len(lines) != 2 || !strings.Contains(lines[0], `"o1.web1"`) || lines[1] != StopWord {
		t.Errorf("it was told %q", lines)
	}
}
