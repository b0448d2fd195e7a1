package coreutils_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mvdan.cc/sh/v3/shell"

	"webjob.dev/webjob/internal/tools/coreutils"
)

// result is what a program printed and its status.
type result struct {
	out, err string
	status   int
}

// words divides a line of a table as a shell would.
func words(t *testing.T, line string) []string {
	t.Helper()
	argv, err := shell.Fields(line, func(string) string { return "" })
	if err != nil || len(argv) == 0 {
		t.Fatalf("%s: %v", line, err)
	}
	return argv
}

// run runs a line of a table with the tools of this package in a folder.
func run(t *testing.T, dir, stdin, line string) result {
	t.Helper()
	return runWith(t.Context(), t, dir, strings.NewReader(stdin), words(t, line))
}

func runWith(ctx context.Context, t *testing.T, dir string, in io.Reader, argv []string) result {
	t.Helper()
	var out, complaints bytes.Buffer
	env := coreutils.Env{
		In: in, Out: &out, Err: &complaints, Dir: dir,
		Lookup: func(name string) (string, bool) {
			return map[string]string{"TMPDIR": dir, "TZ": "UTC"}[name], name != "NOTHING"
		},
		Environ: func() []string { return []string{"B=2", "A=1"} },
	}
	env.Exec = func(ctx context.Context, argv []string, in io.Reader) (int, error) {
		inner := env
		inner.In = in
		if coreutils.Has(argv[0]) {
			return coreutils.Run(ctx, inner, argv)
		}
		c := exec.CommandContext(ctx, argv[0], argv[1:]...)
		c.Dir, c.Stdin, c.Stdout, c.Stderr = dir, in, &out, &complaints
		status, err := statusOf(c.Run())
		if status == 127 {
			fmt.Fprintf(&complaints, "%s is not found\n", argv[0])
		}
		return status, err
	}
	status, err := coreutils.Run(ctx, env, argv)
	if err != nil && ctx.Err() == nil {
		t.Errorf("%q: %v", argv, err)
	}
	return result{out.String(), complaints.String(), status}
}

func statusOf(err error) (int, error) {
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		return failed.ExitCode(), nil
	case errors.Is(err, exec.ErrNotFound):
		return 127, nil
	}
	return 0, err
}

// host runs a line with the programs of this host.
func host(t *testing.T, dir, stdin, line string) result {
	t.Helper()
	argv := words(t, line)
	var out, complaints bytes.Buffer
	c := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	c.Dir, c.Stdin, c.Stdout, c.Stderr = dir, strings.NewReader(stdin), &out, &complaints
	c.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC", "TMPDIR="+dir)
	status, err := statusOf(c.Run())
	if err != nil {
		t.Fatal(err)
	}
	return result{out.String(), complaints.String(), status}
}

// files are what tools work on in tests.
var files = map[string]string{
	"words":      "pear\napple\nfig\napple\nPear\n10\n9\n",
	"table":      "root:x:0:0:Root:/root:/bin/sh\nmail:x:8:8:Mail:/var/mail:/usr/sbin/nologin\nno delimiter\n",
	"columns":    "b  2 x\na 10 y\nc\t2 a\n 7 -3 z\nB 2 X\n",
	"numbers":    "10\n9\n-1\n+5\n\n1.5\n1.25\n.5\n-0\nabc\n12345678901234567890\n12345678901234567891\n007\n",
	"open":       "one\nwithout a line end",
	"empty":      "",
	"lines":      "\n\n\nx\n\n",
	"zeros":      "a\x00b\nc\x00\n\x00",
	"binary":     "\xff\xfe\x80\nab\xc3\n\xc3\xa9\n",
	"returns":    "a\r\nb\r\n",
	"quotes":     "it's \"two words\" back\\slash 'one item'\n",
	"a/one":      "1\n",
	"a/b/two":    "a longer one\n",
	"a/.three":   "3\n",
	"a/b/[x]*?y": "odd\n",
}

// material makes a folder of files to work on.
func material(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		write(t, filepath.Join(dir, name), content)
		at := time.Unix(1_700_000_000+int64(len(content)), 0)
		if err := os.Chtimes(filepath.Join(dir, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "long"), strings.Repeat("long ", 20_000)+"\nshort\n"+strings.Repeat("x", 70_000))
	for name, target := range map[string]string{"a/link": "one", "folder": "a", "dangling": "nowhere"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range []string{"a/b", "a"} { // else their order depends on the clock
		at := time.Unix(1_690_000_000, 0)
		if err := os.Chtimes(filepath.Join(dir, folder), at, at); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// fifo makes a named pipe, or skips the test where there are none.
func fifo(t *testing.T, path string) {
	t.Helper()
	if err := exec.CommandContext(t.Context(), "mkfifo", path).Run(); err != nil {
		t.Skip(err)
	}
}

// tree describes all that is below a folder by name: kinds, modes and contents.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		content := ""
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			content, err = os.Readlink(path)
		case info.Mode().IsRegular():
			var bytes []byte
			bytes, err = os.ReadFile(path)
			content = string(bytes)
		}
		all[name] = fmt.Sprintf("%s %q", info.Mode(), content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
