package coreutils_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"webjob.dev/webjob/internal/tools/coreutils"
)

// TestToolsDoWhatTheHostsDo runs each line of the tables with the host's programs, too:
// what they print, their status and what they leave behind must be the same.
func TestToolsDoWhatTheHostsDo(t *testing.T) {
	for tool, lines := range alike {
		t.Run(tool, func(t *testing.T) {
			t.Parallel()
			needHost(t, tool)
			theirs, ours := material(t), material(t)
			for _, line := range lines {
				if changes[tool] {
					theirs, ours = material(t), material(t)
				}
				if !strings.HasPrefix(line+" ", tool+" ") {
					line = tool + " " + line
				}
				compare(t, theirs, ours, line)
			}
		})
	}
}

// changes are tools that need files of their own for each line.
var changes = map[string]bool{
	"chmod": true, "cp": true, "find": true, "gunzip": true, "gzip": true, "ln": true, "mkdir": true, "mv": true, "rm": true, "stat": true, "tar": true, "tee": true, "touch": true, "xargs": true,
}

func needHost(t *testing.T, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		t.Skip("this host has no", tool)
	}
}

// compare runs a line in two folders that are the same.
func compare(t *testing.T, theirDir, ourDir, line string) {
	t.Helper()
	const stdin = "input line\nsecond\n"
	want, got := host(t, theirDir, stdin, line), run(t, ourDir, stdin, line)
	want.out, got.out = strings.ReplaceAll(want.out, theirDir, "HERE"), strings.ReplaceAll(got.out, ourDir, "HERE")
	if strings.Contains(got.err, "; usage: ") && want.status != 0 && got.status == 2 {
		want.status = 2 // of any wrong use, here; elsewhere it is 1, 2, 64 or 125
	}
	if got.out != want.out || got.status != want.status {
		t.Errorf("%s\nstatus %d, %.2000q\n%swant %d, %.2000q\n%s", line, got.status, got.out, got.err, want.status, want.out, want.err)
	}
	if (got.err == "") != (want.err == "") {
		t.Errorf("%s: complains with %q, the host with %q", line, got.err, want.err)
	}
	theirs, ours := tree(t, theirDir), tree(t, ourDir)
	for name := range theirs {
		if ours[name] != theirs[name] {
			t.Errorf("%s leaves %s as %.300s, want %.300s", line, name, ours[name], theirs[name])
		}
	}
	for name := range ours {
		if _, found := theirs[name]; !found {
			t.Errorf("%s makes %s", line, name)
		}
	}
}

// TestFiltersTakeAnyInput compares what comes of inputs that are hard to read.
func TestFiltersTakeAnyInput(t *testing.T) {
	inputs := map[string]string{
		"empty": "", "one byte": "x", "a line end": "\n", "no line end": "a b\nc", "NUL": "a\x00b\x00\nc\x00", "no UTF-8": "\xff\xfe\na\x80b\n\xc3",
		"returns": "a\r\nb\r\n", "blank lines": "\n\n\n", "long line": strings.Repeat("ab ", 100_000), "long lines": strings.Repeat(strings.Repeat("y", 70_000)+"\n", 3),
		"many lines": strings.Repeat("a\nb\nb\n", 20_000), "all bytes": allBytes(),
	}
	for _, line := range []string{
		"cat", "head -n 2", "head -c 3", "tail -n 2", "tail -c 3", "tail -n +2", "wc -lc", "uniq -c", "sort", "sort -u", "sort -n", "sort -k2", "cut -d ' ' -f 2", "base64", "tee",
		"tr -d x", "tr -s a", "tr a b", "grep -a b", "grep -ac ''", "grep -aovn b", "sed -n p", "sed s/a/b/g", "sed '$d'", "sha256sum",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, input := range inputs {
				want, got := host(t, dir, input, line), run(t, dir, input, line)
				if got.out != want.out || got.status != want.status {
					t.Errorf("%s: status %d, %.300q %s\nwant %d, %.300q %s", name, got.status, got.out, got.err, want.status, want.out, want.err)
				}
			}
		})
	}
}

func allBytes() string {
	var b strings.Builder
	for i := range 256 {
		b.WriteByte(byte(i))
	}
	return b.String()
}

// TestKnownDifferences keeps the list of docs/guide.md true: what no longer differs goes
// from both.
func TestKnownDifferences(t *testing.T) {
	text, err := os.ReadFile("../../../docs/guide.md")
	if err != nil {
		t.Fatal(err)
	}
	guide := strings.Join(strings.Fields(string(text)), " ")
	for line, why := range differences {
		if !strings.Contains(guide, why) {
			t.Errorf("%s: docs/guide.md does not say %q", line, why)
		}
		tool, _, _ := strings.Cut(line, " ")
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			needHost(t, tool)
			dir := material(t)
			want, got := host(t, dir, files["binary"], line), run(t, dir, files["binary"], line)
			if got.out == want.out && got.status == want.status {
				t.Errorf("does not differ: %s", why)
			}
		})
	}
}

var (
	group  = regexp.MustCompile(`\[-([A-Za-z0-9]+)\]`)
	single = regexp.MustCompile(`\[-([A-Za-z0-9]) [^-]`)
)

// TestEveryOptionIsCompared asks each tool for its options and looks for them in the tables.
func TestEveryOptionIsCompared(t *testing.T) {
	for _, tool := range coreutils.Names() {
		if _, ours := own[tool]; ours {
			continue
		}
		used := strings.Join(alike[tool], " ")
		for line := range differences {
			if strings.HasPrefix(line+" ", tool+" ") {
				used += " " + line
			}
		}
		if used == "" {
			t.Errorf("%s is compared with nothing", tool)
		}
		help := run(t, t.TempDir(), "", tool+" --help").out
		letters := ""
		for _, m := range append(group.FindAllStringSubmatch(help, -1), single.FindAllStringSubmatch(help, -1)...) {
			letters += m[1]
		}
		for _, letter := range letters {
			if !regexp.MustCompile(`(^| )-[A-Za-z0-9]*` + string(letter)).MatchString(used) {
				t.Errorf("%s -%c is compared with nothing", tool, letter)
			}
		}
	}
}
