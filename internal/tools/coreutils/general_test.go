package coreutils_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"webjob.dev/webjob/internal/tools/coreutils"
)

// TestWrongUseIsRefused gives every tool an option that none has: one line says what is
// wrong and how it is used, and nothing else happens.
func TestWrongUseIsRefused(t *testing.T) {
	for _, tool := range coreutils.Names() {
		for _, wrong := range []string{"--no-such-option", "-%", "--no-such=value"} {
			got := run(t, t.TempDir(), "input\n", tool+" "+wrong+" x y")
			if got.status != 2 || got.out != "" || strings.Count(got.err, "\n") != 1 || !strings.HasPrefix(got.err, tool+": ") || !strings.Contains(got.err, "; usage: "+tool) {
				t.Errorf("%s %s: status %d, %q, %q", tool, wrong, got.status, got.out, got.err)
			}
		}
	}
}

func TestHelpShowsUse(t *testing.T) {
	for _, tool := range coreutils.Names() {
		got := run(t, t.TempDir(), "", tool+" --help")
		if got.status != 0 || got.err != "" || !strings.HasPrefix(got.out, "usage: "+tool) || strings.Count(got.out, "\n") != 1 {
			t.Errorf("%s: %+v", tool, got)
		}
	}
}

// TestMissingFilesAreNamed gives every tool that reads files one that is not there.
func TestMissingFilesAreNamed(t *testing.T) {
	for _, line := range []string{
		"base64", "cat", "chmod 600", "cp -r %s new", "cut -f1", "find", "find-known %s words", "find-numbers", "grep x", "grep -r x", "gunzip", "gzip", "gzcat", "head", "ln %s new", "ls", "md5sum", "md5sum -c", "mv %s new",
		"rm", "rm -r", "sed p", "sha1sum", "sha256sum", "sha512sum", "snapshot", "snapshot-compare %s words", "sort", "stat", "tail", "tar -tf", "tar -cf /dev/null", "touch %s/x", "uniq", "wc", "zcat", "tee %s/x", "mkdir %s/x", "chmod --reference %s words", "find words -newer",
	} {
		if !strings.Contains(line, "%s") {
			line += " %s"
		}
		got := run(t, material(t), "", strings.ReplaceAll(line, "%s", "no-such-file"))
		if got.status == 0 || !strings.Contains(got.err, "no-such-file") || strings.Count(got.err, "\n") != 1 {
			t.Errorf("%s: status %d, %q", line, got.status, got.err)
		}
	}
}

// TestHostileNamesDoNotReachTheTerminal looks at what tools say of a file whose name
// moves the cursor.
func TestHostileNamesDoNotReachTheTerminal(t *testing.T) {
	for _, tool := range []string{"cat", "ls", "rm", "sort", "gzip", "stat"} {
		got := runWith(t.Context(), t, t.TempDir(), strings.NewReader(""), []string{tool, "a\x1b[2Jb\nforged: line"})
		if strings.ContainsAny(got.err, "\x1b") || strings.Count(got.err, "\n") != 1 || got.status == 0 {
			t.Errorf("%s: %q", tool, got.err)
		}
	}
}

// xs is a text without an end of line.
var xs = strings.Repeat("x", 1<<16)

// endless is an input that never ends.
type endless struct{ text string }

func (e endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], e.text)
	}
	return n, nil
}

// TestEndlessWorkEndsWithTheContext cancels tools in the middle of inputs that never end.
func TestEndlessWorkEndsWithTheContext(t *testing.T) {
	for _, line := range []string{
		"cat", "tee", "wc", "grep nothing", "grep -c y", "sed -n /never/p", "tr a b", "tail", "tail -c 5", "uniq", "sha256sum", "gzip -c", "base64", "cut -c 1", "sort", "head -n 1000000000", "seq 1 1000000000000000", "sleep 1d", "xargs false", "tail -n +1000000000", "sed s/y/x/",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		var complaints strings.Builder
		env := coreutils.Env{
			In: endless{"yes yes\n"}, Out: io.Discard, Err: &complaints, Dir: t.TempDir(),
			Exec: func(context.Context, []string, io.Reader) (int, error) { return 1, nil },
		}
		status, err := coreutils.Run(ctx, env, strings.Fields(line))
		if ctx.Err() == nil || err == nil {
			t.Errorf("%s ended by itself with status %d, %q", line, status, complaints.String())
		}
		cancel()
	}
}

// full takes some bytes and then fails.
type full struct {
	room int
	err  error
}

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, f.err
	}
	return len(p), nil
}

// TestEndlessOutputEndsWhereItCannotBeWritten has no end but that of the output.
func TestEndlessOutputEndsWhereItCannotBeWritten(t *testing.T) {
	for _, line := range []string{
		"cat", "tee", "grep y", "sed p", "tr a b", "base64", "cut -c 1", "head -n 1000000000", "seq 1 1000000000000000", "tail -n +1", "sed s/y/x/", "grep -o y", "gzip -1", "cat -", "uniq",
	} {
		for _, c := range []struct {
			err    error
			status int
			says   string
		}{{syscall.ENOSPC, 1, "no space left"}, {syscall.EPIPE, 141, ""}} {
			var complaints strings.Builder
			in := io.MultiReader(strings.NewReader("a\nb\nc\n"), endless{"yes\nyes, too " + strings.Repeat("x", 100) + "\n"})
			status, err := coreutils.Run(t.Context(), coreutils.Env{In: in, Out: &full{40_000, c.err}, Err: &complaints, Dir: t.TempDir()}, strings.Fields(line))
			if err != nil || status != c.status || !strings.Contains(complaints.String(), c.says) || c.says == "" && complaints.Len() > 0 {
				t.Errorf("%s, %v: status %d, %v, %q", line, c.err, status, err, complaints.String())
			}
		}
	}
}

// TestSmallOutputThatCannotBeWrittenIsAFailure also holds for what was still in a buffer.
func TestSmallOutputThatCannotBeWrittenIsAFailure(t *testing.T) {
	dir := material(t)
	for _, line := range []string{"cat words", "ls", "wc words", "sort words", "uniq words", "find words", "stat words", "sha256sum words", "head words", "tail words", "date", "id", "uname", "hostname", "basename x", "dirname x", "seq 1", "env", "mktemp", "readlink a/link", "base64 words", "tar -tf x.tar", "grep p words", "sed p words", "cut -f1 words", "ps", "df", "sockets"} {
		if strings.HasPrefix(line, "tar") {
			run(t, dir, "", "tar -cf x.tar words")
		}
		var complaints strings.Builder
		env := coreutils.Env{
			Out: &full{0, syscall.ENOSPC}, Err: &complaints, Dir: dir,
			Lookup: func(string) (string, bool) { return "", false }, Environ: func() []string { return []string{"A=1"} },
		}
		if status, err := coreutils.Run(t.Context(), env, strings.Fields(line)); err != nil || status == 0 || !strings.Contains(complaints.String(), "no space left") {
			t.Errorf("%s: status %d, %v, %q", line, status, err, complaints.String())
		}
	}
}

// TestLinesAreBounded reads an input without a line end that is larger than a line may be.
func TestLinesAreBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("needs some memory")
	}
	for _, line := range []string{"sort", "tail"} {
		got := runWith(t.Context(), t, t.TempDir(), io.LimitReader(endless{xs}, 70<<20), strings.Fields(line))
		if got.status == 0 || !strings.Contains(got.err, "more than 67108864 bytes") {
			t.Errorf("%s: status %d, %.200q", line, got.status, got.err)
		}
	}
}

// TestWhatGrowsIsBounded looks at what small arguments could make large.
func TestWhatGrowsIsBounded(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		argv []string
		in   io.Reader
		says string
	}{
		{[]string{"sed", "s/x/" + strings.Repeat("y", 1<<20) + "/g"}, strings.NewReader(strings.Repeat("x", 80)), "a line became longer than 64 MiB"},
		{[]string{"tr", "-d", strings.Repeat("\\000-\U0010FFFF", 3)}, strings.NewReader(""), "a set has more characters than there are"},
		{[]string{"xargs", "-0", "echo"}, io.LimitReader(endless{xs}, 17<<20), "a word has more than 16777216 bytes"},
		{[]string{"xargs", "echo"}, io.LimitReader(endless{xs}, 17<<20), "a word has more than 16777216 bytes"},
	} {
		if got := runWith(t.Context(), t, dir, c.in, c.argv); got.status == 0 || !strings.Contains(got.err, c.says) || got.out != "" {
			t.Errorf("%.40q: status %d, %.200q", c.argv, got.status, got.err)
		}
	}
}

func TestPathsAreOfTheFolderOfTheScript(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "here"), "here\n")
	if got := run(t, dir, "", "cat ./here "+filepath.Join(dir, "here")); got.out != "here\nhere\n" {
		t.Errorf("%+v", got)
	}
	if _, err := os.Stat("here"); err == nil {
		t.Error("the folder of this process was used")
	}
	for _, tool := range []string{"cat", "ls", "stat", "rm -r", "find", "wc"} {
		if got := run(t, dir, "", tool+" ''"); got.status == 0 {
			t.Errorf("%s of an empty name: %+v", tool, got)
		}
	}
}

func TestUnknownToolsAreRefused(t *testing.T) {
	if status, err := coreutils.Run(t.Context(), coreutils.Env{Err: io.Discard, Out: io.Discard}, []string{"perl"}); status != 127 || err == nil {
		t.Errorf("%d, %v", status, err)
	}
	if coreutils.Has("perl") || !coreutils.Has("sed") {
		t.Error("Has is wrong")
	}
}
