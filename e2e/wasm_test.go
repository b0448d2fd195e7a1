package e2e

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestWasm runs a WebAssembly program with the client as it is released: with the race
// detector the runtime takes ten seconds to compile it.
func TestWasm(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, "wasi.wasm")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-s -w", "-o", program, "./testdata/wasi")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, content := range map[string]string{"granted/file": "content", "secret": "secret", "granted/b/deep": "deep", "script": "#!/bin/sh\n"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"out": "../secret", "absolute": filepath.Join(dir, "secret"), "inside": "b/deep"} {
		if err := os.Symlink(target, filepath.Join(dir, "granted", name)); err != nil {
			t.Fatal(err)
		}
	}
	grant := []string{"--dir", filepath.Join(dir, "granted") + "=/data", "--env", "GRANTED", "--env", "ABSENT", "--memory", "64MiB", program}
	for _, c := range []struct {
		arguments []string
		want      string // in the output
		status    int
	}{
		{append(grant, "hello", "a b"), "3 a b input\n 1 yes", 0},
		{append(grant, "exit"), "", 7},
		{append(grant, "read", "/data/file"), "content", 0},
		{append(grant, "read", "/data/inside"), "deep", 0},
		{append(grant, "list", "/data"), "5", 0},
		{append(grant, "read", "/data/out"), "/data/out", 1},
		{append(grant, "read", "/data/absolute"), "/data/absolute", 1},
		{append(grant, "read", "/data/../secret"), "secret: ", 1},
		{append(grant, "read", "/etc/passwd"), "/etc/passwd", 1},
		{append(grant, "read", filepath.Join(dir, "secret")), "secret: ", 1},
		{append(grant, "write", "/data/new"), "/data/new", 1},
		{append(grant, "grow"), "out of memory", 2},
		{append(grant, "recurse"), "stack", 2},
		{[]string{filepath.Join(dir, "script")}, "is not a WebAssembly program", 2},
		{[]string{filepath.Join(dir, "absent")}, "no such file", 2},
		{[]string{"--memory", "1KiB", program}, "it must be 64 KiB to 4 GiB", 2},
		{[]string{"--dir", "/no/such", program}, "/no/such cannot be granted", 2},
		{nil, "name a program", 125},
	} {
		out, status := wasm(t.Context(), t, dir, c.arguments)
		if status != c.status || !strings.Contains(out, c.want) || out == "secret" || strings.Contains(out, "root:x") || strings.Contains(out, "goroutine 1 [running]:\nmain.main") {
			t.Errorf("%v: status %d, want %d; %.300q", c.arguments[max(0, len(c.arguments)-2):], status, c.status, out)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if out, status := wasm(ctx, t, dir, append(grant, "loop")); status != 2 || !strings.Contains(out, "was ended") {
		t.Errorf("a loop ended with status %d, %q", status, out)
	}
}

func wasm(ctx context.Context, t *testing.T, dir string, arguments []string) (string, int) {
	t.Helper()
	c := exec.CommandContext(ctx, filepath.Join(bin, "bare", "webjob"), append([]string{"wasm"}, arguments...)...)
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 20 * time.Second
	c.Env, c.Stdin = append(environment(dir), "GRANTED=yes", "KEPT=back"), strings.NewReader("input\n")
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(out), exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(out), 0
}
