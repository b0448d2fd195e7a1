package runner_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint/runner"
)

func TestMain(m *testing.M) {
	runner.LaunchIfAsked()
	os.Exit(m.Run())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func payload(content string) webjob.Payload {
	return webjob.Payload{Platform: "any", Digest: webjob.DigestOf([]byte(content)), Size: int64(len(content))}
}

func fill(content string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, content)
		return err
	}
}

// Tests of this package run one after another: a runner owns its process.
func run(t *testing.T, ctx context.Context, script string, change func(*runner.Spec)) (runner.Report, string, webjob.Stream) {
	t.Helper()
	dir := t.TempDir()
	placed, err := runner.Place(dir, payload(script), nil, fill(script))
	must(t, err)
	file, err := os.Create(filepath.Join(dir, "stdout"))
	must(t, err)
	spec := runner.Spec{
		Run: "test-" + filepath.Base(dir), Program: placed.Path, Arguments: []string{"job"}, Inherit: placed.Inherit,
		Env: runner.Environment(dir, nil), Dir: dir, Limits: webjob.DefaultLimits(), Leftovers: webjob.LeftoversStop,
		Stdout: runner.NewCapture(webjob.Stdout, file, 1<<20), Stderr: runner.NewCapture(webjob.Stderr, file, 1<<20),
	}
	if change != nil {
		change(&spec)
	}
	report, err := runner.Run(ctx, spec)
	must(t, errors.Join(err, placed.Close(), file.Close()))
	kept, err := os.ReadFile(filepath.Join(dir, "stdout"))
	must(t, err)
	return report, string(kept), spec.Stdout.Stream()
}

func TestOutcomes(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		want   webjob.Outcome
		status int
		signal string
	}{
		"success":     {"#!/bin/sh\necho fine\n", webjob.Succeeded, 0, ""},
		"failure":     {"#!/bin/sh\nexit 3\n", webjob.Failed, 3, ""},
		"own signal":  {"#!/bin/sh\nkill -9 $$\n", webjob.Signalled, -1, "SIGKILL"},
		"status 255":  {"#!/bin/sh\nexit 255\n", webjob.Failed, 255, ""},
		"closes pipe": {"#!/bin/sh\nexec >&- 2>&-\nexit 4\n", webjob.Failed, 4, ""},
	} {
		t.Run(name, func(t *testing.T) {
			report, _, _ := run(t, t.Context(), c.script, nil)
			if report.Outcome != c.want || report.Signal != c.signal {
				t.Fatalf("got %+v", report)
			}
			if c.status >= 0 && (report.ExitStatus == nil || *report.ExitStatus != c.status) {
				t.Fatalf("got status %v, want %d", report.ExitStatus, c.status)
			}
			if report.Phase.DurationMS <= 0 || report.Phase.Start.IsZero() {
				t.Errorf("no times: %+v", report.Phase)
			}
		})
	}
}

func TestOutputIsKeptToTheByte(t *testing.T) {
	_, kept, stream := run(t, t.Context(), "#!/bin/sh\nprintf '\\000\\001\\377no newline'\n", nil)
	if kept != "\x00\x01\xffno newline" || stream.Size != 13 || stream.Written != 13 || stream.Truncated || stream.Digest != webjob.DigestOf([]byte(kept)) {
		t.Fatalf("kept %q, %+v", kept, stream)
	}
}

func TestOutputIsCutAtItsLimit(t *testing.T) {
	script := "#!/bin/sh\nprintf 0123456789\nsleep 0.2\nprintf abc\n"
	for _, overflow := range []webjob.Overflow{webjob.OverflowContinue, webjob.OverflowStop} {
		report, kept, stream := run(t, t.Context(), script, func(s *runner.Spec) {
			s.Limits.OnOverflow = overflow
			s.Stdout = runner.NewCapture(webjob.Stdout, mustOpen(t, filepath.Join(s.Dir, "stdout")), 4)
		})
		if kept != "0123" || stream.Size != 4 || !stream.Truncated || stream.Digest != webjob.DigestOf([]byte("0123")) {
			t.Fatalf("%s: kept %q, %+v", overflow, kept, stream)
		}
		want := map[webjob.Overflow]webjob.Outcome{webjob.OverflowContinue: webjob.Succeeded, webjob.OverflowStop: webjob.LimitExceeded}[overflow]
		if report.Outcome != want {
			t.Errorf("%s: outcome %s (%s), want %s", overflow, report.Outcome, report.Reason, want)
		}
		if overflow == webjob.OverflowContinue && stream.Written != 13 {
			t.Errorf("the job wrote 13 bytes, not %d", stream.Written)
		}
	}
}

func mustOpen(t *testing.T, file string) *os.File {
	t.Helper()
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestRunLimit(t *testing.T) {
	start := time.Now()
	report, kept, _ := run(t, t.Context(), "#!/bin/sh\ntrap '' TERM\necho started\nsleep 1000 & sleep 1000\n", func(s *runner.Spec) { s.Limits.RunMS = 200 })
	if report.Outcome != webjob.TimedOut || report.Signal != "SIGKILL" || kept != "started\n" {
		t.Fatalf("got %+v, %q", report, kept)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %s to end", took)
	}
}

// SIGTERM comes first, so that a job can tidy up.
func TestJobsMayTidyUp(t *testing.T) {
	report, kept, _ := run(t, t.Context(), "#!/bin/sh\ntrap 'echo tidied; exit 9' TERM\nsleep 1000 & wait\n", func(s *runner.Spec) { s.Limits.RunMS = 300 })
	if report.Outcome != webjob.TimedOut || kept != "tidied\n" {
		t.Fatalf("got %+v, %q", report, kept)
	}
}

func TestStoppedWebjobEndsItsJob(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	report, _, _ := run(t, ctx, "#!/bin/sh\nsleep 1000\n", nil)
	if report.Outcome != webjob.Interrupted {
		t.Fatalf("got %+v", report)
	}
}

func TestLeftovers(t *testing.T) {
	script := "#!/bin/sh\nsleep 3 >/dev/null 2>&1 &\necho $!\n"
	report, kept, _ := run(t, t.Context(), script, nil)
	if report.Outcome != webjob.Succeeded || report.Leftovers == 0 || alive(t, kept) {
		t.Fatalf("stop: got %+v, left alive: %v", report, alive(t, kept))
	}
	if runtime.GOOS != "linux" {
		return
	}
	report, kept, _ = run(t, t.Context(), script, func(s *runner.Spec) { s.Leftovers = webjob.LeftoversLeave })
	if report.Outcome != webjob.Succeeded || report.Leftovers != 0 || !alive(t, kept) {
		t.Fatalf("leave: got %+v", report)
	}
	// While it is there, its runner collects every child of this process, also those of
	// the tests that follow.
	leftover, err := os.FindProcess(pidOf(t, kept))
	must(t, err)
	must(t, leftover.Kill())
	for alive(t, kept) {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
}

func pidOf(t *testing.T, text string) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	must(t, err)
	return pid
}

func alive(t *testing.T, pid string) bool {
	t.Helper()
	stat, err := os.ReadFile("/proc/" + strings.TrimSpace(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z")
}

func TestPlacedBytesAreChecked(t *testing.T) {
	script := "#!/bin/sh\necho good\n"
	large := script + strings.Repeat("#\n", 40<<20) // too large for memory
	for name, content := range map[string]string{"in memory": script, "in a file": large} {
		t.Run(name, func(t *testing.T) {
			placed, err := runner.Place(t.TempDir(), payload(content), nil, fill(content))
			must(t, err)
			if placed.InMemory != (name == "in memory" && runtime.GOOS == "linux") {
				t.Errorf("in memory: %v", placed.InMemory)
			}
			must(t, placed.Close())
			changed := strings.Replace(content, "good", "evil", 1)
			if _, err := runner.Place(t.TempDir(), payload(content), nil, fill(changed)); webjob.KindOf(err) != webjob.Refused {
				t.Errorf("other bytes in place: %v", err)
			}
			broken := errors.New("connection lost")
			if _, err := runner.Place(t.TempDir(), payload(content), nil, func(io.Writer) error { return broken }); !errors.Is(err, broken) {
				t.Errorf("a fill that failed: %v", err)
			}
		})
	}
}

// Somebody who could write to the folder puts something there first.
func TestPlaceFollowsNoLink(t *testing.T) {
	content := strings.Repeat("#\n", 40<<20) // too large for memory
	for name, plant := range map[string]func(dir, victim string) error{
		"a link":          func(dir, victim string) error { return os.Symlink(victim, filepath.Join(dir, "payload")) },
		"a dangling link": func(dir, _ string) error { return os.Symlink("/nonexistent", filepath.Join(dir, "payload")) },
		"a file":          func(dir, _ string) error { return os.WriteFile(filepath.Join(dir, "payload"), []byte("x"), 0o600) },
		"a hard link":     func(dir, victim string) error { return os.Link(victim, filepath.Join(dir, "payload")) },
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			dir, victim := filepath.Join(base, "dir"), filepath.Join(base, "victim")
			must(t, os.Mkdir(dir, 0o700))
			must(t, os.WriteFile(victim, []byte("untouched"), 0o600))
			must(t, plant(dir, victim))
			if _, err := runner.Place(dir, payload(content), nil, fill(content)); err == nil {
				t.Error("the payload was placed over it")
			}
			if text, err := os.ReadFile(victim); err != nil || string(text) != "untouched" {
				t.Errorf("the victim is %q, %v", text, err)
			}
		})
	}
}

func TestSealedPayloadCannotBeChanged(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("payloads are in memory on Linux only")
	}
	// The job tries to overwrite its own program through the descriptor it has.
	const script = `#!/bin/sh
(echo evil >/proc/self/fd/3) 2>/dev/null && echo truncated
(echo evil 1<>/proc/self/fd/3) 2>/dev/null && echo overwritten
(echo evil >>/proc/self/fd/3) 2>/dev/null && echo appended
echo done
`
	report, kept, _ := run(t, t.Context(), script, nil)
	if report.Outcome != webjob.Succeeded || kept != "done\n" {
		t.Fatalf("got %+v, %q", report, kept)
	}
}
