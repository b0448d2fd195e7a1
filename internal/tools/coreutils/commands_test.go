package coreutils_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// sorted is an output with its lines, and words in them, in order: folders have an order of their own.
func sorted(r result) string {
	lines := strings.Split(r.out, "\n")
	for i, line := range lines {
		words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == 0 })
		slices.Sort(words)
		lines[i] = strings.Join(words, " ")
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestFindWalksAsTheHostsDo compares what is found, in any order.
func TestFindWalksAsTheHostsDo(t *testing.T) {
	needHost(t, "find")
	for _, line := range []string{
		"find", "find .", "find a folder", "find folder/", "find a -type f", "find a -name 'o*'", "find a -maxdepth 1", "find . -type l", "find a -type f -size +3c", "find a ! -type d", "find a -name one -o -name two",
		"find a -name one -o -name two -print", "find a -name one -print -o -name two", "find a -type f -exec cat {} ';'", "find a -mindepth 2", "find a -path '*/b/*'", "find a -newer a/.three", "find . -perm 644 -name words", "find a -type f -print0",
		"find a '(' -name one -o -name two ')' -type f", "find a ! '(' -name one -o -name two ')'", "find a -name '.*'", "find a -name '*e*' -maxdepth 1", "find . -name '[^w]*' -type f", "find . -iname '*WORDS*'", "find a -exec echo {} x{}y ';'",
		"find a/b -type f -exec echo + {} + -name nothing", "find . -empty -o -name x", "find a -name one -exec false ';' -print", "find a -name one -exec true ';' -print", "find a -type f -exec wc -c {} +", "find . -size -2 -type f", "find a -name '\\[x\\]\\*\\?y'", "find a -name '[[]x]*'",
		"find . -xdev -name words", "find a nothing -name one", "find . -path './a/b*'", "find a -maxdepth 0 -o -name one", "find a -print -print", "find a -mtime -100000", "find a -mtime +10", "find a -mmin +10 -type f", "find . -name '*[!a-z]*'", "find a -not -not -name one",
	} {
		theirs, ours := material(t), material(t)
		want, got := host(t, theirs, "", line), run(t, ours, "", line)
		if strings.Contains(line, "-empty") { // not known here
			if got.status != 2 {
				t.Errorf("%s: %+v", line, got)
			}
			continue
		}
		if sorted(got) != sorted(want) || got.status != want.status {
			t.Errorf("%s: status %d\n%s%s\nwant %d\n%s%s", line, got.status, sorted(got), got.err, want.status, sorted(want), want.err)
		}
	}
}

// TestFindStaysOnItsFileSystem looks from / at what is mounted below it.
func TestFindStaysOnItsFileSystem(t *testing.T) {
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skip(err)
	}
	if got := run(t, "/", "", "find / -xdev -maxdepth 2 -path '/proc/*'"); got.out != "" {
		t.Errorf("%.200s", got.out)
	}
	if got := run(t, "/", "", "find / -maxdepth 2 -path '/proc/*'"); !strings.Contains(got.out, "/proc/self\n") {
		t.Errorf("%.200s", got.out)
	}
}

func TestFindKnowsTimes(t *testing.T) {
	dir := t.TempDir()
	ages := map[string]time.Duration{"now": 5 * time.Second, "m1": 90 * time.Second, "m5": 5*time.Minute + 30*time.Second, "h30": 30 * time.Hour, "d3": 73 * time.Hour}
	for _, test := range []string{"-mmin -1", "-mmin 1", "-mmin 2", "-mmin +1", "-mmin +2", "-mmin -6", "-mmin 6", "-mtime 0", "-mtime 1", "-mtime +0", "-mtime +1", "-mtime -1", "-mtime -2", "-mtime 3", "-mtime -4"} {
		for name, age := range ages { // anew, for a machine that is slow
			write(t, filepath.Join(dir, name), name)
			at := time.Now().Add(-age)
			if err := os.Chtimes(filepath.Join(dir, name), at, at); err != nil {
				t.Fatal(err)
			}
		}
		want, got := sorted(host(t, dir, "", "find . -type f "+test)), sorted(run(t, dir, "", "find . -type f "+test))
		if want != got {
			t.Errorf("%s: %q, want %q", test, got, want)
		}
	}
}

// TestFindListsWhatItFinds is -ls, whose form is that of ls -l here.
func TestFindListsWhatItFinds(t *testing.T) {
	dir := material(t)
	if got, want := run(t, dir, "", "find words -ls"), run(t, dir, "", "ls -l words"); got.out != want.out || !strings.Contains(got.out, " 31 2023-11-14 22:13:51 words\n") {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestGrepBelowFoldersAsTheHostsDo(t *testing.T) {
	needHost(t, "grep")
	for _, line := range []string{"grep -r 1 a", "grep -r one .", "grep -r one", "grep -rc 1 a", "grep -rh 1 a", "grep -rl 1", "grep -rH 1 a/one", "grep -r 1 folder", "grep -r 1 folder/", "grep -rn 1 a nothing", "grep -rq longer a", "grep -ro long a folder"} {
		theirs, ours := material(t), material(t)
		write(t, theirs+"/-", "one\n")
		write(t, ours+"/-", "one\n")
		want, got := host(t, theirs, "", line), run(t, ours, "", line)
		if sorted(got) != sorted(want) || got.status != want.status {
			t.Errorf("%s: status %d\n%s%s\nwant %d\n%s%s", line, got.status, sorted(got), got.err, want.status, sorted(want), want.err)
		}
	}
}

func TestXargsReadsWordsAsTheHostsDo(t *testing.T) {
	needHost(t, "xargs")
	for _, in := range []string{
		"a b\nc\n", "'a b' c\n", "\"a 'b\" c", "a\\ b c", "\\'x \\\"y", "a''b \"\"\n", "''\n", "", "\n\n", "  a  ", "a\tb\vc", "x\\\ny z", "trailing\\", "no end", "a\r\nb\r\n", strings.Repeat("word ", 1100), "-n -x -- -\n", "é \xff",
	} {
		for _, line := range []string{"xargs -r printf '<%s>'", "xargs -r -n 1 echo", "xargs -r -n 2", "xargs -I% echo '<%>' '%%'", "xargs -r -0 -n 1 printf '<%s>'"} {
			if len(in) > 1000 && strings.Contains(line, "-n 1") {
				continue // a process for each word
			}
			want, got := host(t, t.TempDir(), in, line), run(t, t.TempDir(), in, line)
			if len(in) > 1000 { // it divides after 1000
				want.out, got.out = strings.ReplaceAll(want.out, "\n", " "), strings.ReplaceAll(got.out, "\n", " ")
			}
			if got.out != want.out || got.status != want.status {
				t.Errorf("%s of %.40q: status %d, %.200q, %s\nwant %d, %.200q, %s", line, in, got.status, got.out, got.err, want.status, want.out, want.err)
			}
		}
	}
}

func TestXargsRefusesWhatIsNotClosed(t *testing.T) {
	for _, in := range []string{"a 'b\n", "\"b", "it's\n"} {
		if got := run(t, t.TempDir(), in, "xargs echo"); got.status != 1 || !strings.Contains(got.err, "is not closed; use -0") {
			t.Errorf("%q: %+v", in, got)
		}
	}
}

// TestXargsDividesLongLists keeps commands below what a system takes, and says what they
// ended with.
func TestXargsDividesLongLists(t *testing.T) {
	long := strings.Repeat("x", 50_000)
	got := run(t, t.TempDir(), long+"\n"+long+"\n"+long+"\n", "xargs echo")
	if lines := strings.Split(got.out, "\n"); len(lines) != 3 || got.status != 0 {
		t.Errorf("%d lines, status %d", len(lines)-1, got.status)
	}
	for status, want := range map[int]int{0: 0, 1: 123, 125: 123, 126: 126, 127: 127, 255: 124, 137: 125} {
		if got := run(t, t.TempDir(), "a b", "xargs -n 1 sh -c 'exit "+strconv.Itoa(status)+"'"); got.status != want {
			t.Errorf("%d became %+v, want %d", status, got, want)
		}
	}
	if got := run(t, t.TempDir(), "a b", "xargs -n 1 sh -c 'echo $1; exit 255' -"); strings.Count(got.out, "\n") != 1 {
		t.Errorf("it went on after 255: %+v", got)
	}
}

// TestCommandsOfXargsReadNothing would lose words otherwise.
func TestCommandsOfXargsReadNothing(t *testing.T) {
	if got := run(t, t.TempDir(), "a b c", "xargs -n 1 sh -c 'cat; echo $1' -"); got.out != "a\nb\nc\n" {
		t.Errorf("%+v", got)
	}
}

func TestStatusOfCommandsIsHandedOn(t *testing.T) {
	dir := material(t)
	for line, want := range map[string]int{"env sh -c 'exit 7'": 7, "env no-such-command": 127, "env": 0, "find words -exec false ';'": 0, "find words -exec false {} +": 1, "find words -exec no-such-command ';'": 0} {
		if got := run(t, dir, "", line); got.status != want {
			t.Errorf("%s: %+v, want %d", line, got, want)
		}
	}
}
