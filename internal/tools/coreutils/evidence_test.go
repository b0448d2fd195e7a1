package coreutils_test

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"webjob.dev/webjob/internal/tools/coreutils"
)

func TestFindNumbers(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/d/cards", "pay with 4111 1111 1111 1111 or 5500-0000-0000-0004\nand 4111111111111112\n")
	write(t, dir+"/d/people", "ssn 536-22-8726.\n")
	write(t, dir+"/d/none", "nothing here 1234\n")
	write(t, dir+"/d/bad\x1bname", "4111111111111111")
	write(t, dir+"/empty", "")
	for _, c := range []struct {
		line   string
		status int
		lines  int
		says   string
	}{
		{"find-numbers d", 0, 3, "d/cards:9: card 411111******1111: "},
		{"find-numbers -k ssn d", 0, 1, "d/people:4: ssn "},
		{"find-numbers -k card,ssn d", 0, 4, ""},
		{"find-numbers -k card -k ssn d", 0, 4, ""},
		{"find-numbers -m 1 d/cards", 0, 2, "d/cards: more than 1 numbers"},
		{"find-numbers -C 0 d/cards", 0, 2, ""},
		{"find-numbers d/none empty", 1, 0, ""},
		{"find-numbers d/none nothing", 2, 0, ""},
		{"find-numbers d nothing", 2, 3, ""},
		{"find-numbers --max-count 0 d/cards", 0, 1, "more than 0"},
	} {
		got := run(t, dir, "", c.line)
		if got.status != c.status || strings.Count(got.out, "\n") != c.lines || !strings.Contains(got.out, c.says) || strings.Contains(got.out, "\x1b") || strings.Contains(got.out, "411111111111") {
			t.Errorf("%s: %+v", c.line, got)
		}
	}
}

func TestFindKnown(t *testing.T) {
	dir := material(t)
	digest := strings.Fields(run(t, dir, "", "md5sum words").out)[0]
	write(t, dir+"/set", digest+" a word list\n")
	write(t, dir+"/unsorted", "ff\n00\n")
	for _, c := range []struct {
		line, out string
		status    int
	}{
		{"find-known set words table", digest + "  words  # a word list\n", 0},
		{"find-known set .", digest + "  ./words  # a word list\n", 0},
		{"find-known set table a", "", 1},
		{"find-known --max-size 5 set words", "", 1},
		{"find-known set words nothing", digest + "  words  # a word list\n", 2},
		{"find-known unsorted words", "", 2},
		{"find-known empty words", "", 2},
	} {
		if got := run(t, dir, "", c.line); got.out != c.out || got.status != c.status || (c.status == 2) != (got.err != "") {
			t.Errorf("%s: %+v", c.line, got)
		}
	}
}

func TestSnapshotsAreCompared(t *testing.T) {
	dir := material(t)
	write(t, dir+"/before", run(t, dir, "", "snapshot -x a/b a words").out)
	if text := read(t, dir, "before"); strings.Contains(text, "two") || !strings.Contains(text, "a/one") || !strings.Contains(text, "words") {
		t.Errorf("%s", text)
	}
	if got := run(t, dir, "", "snapshot-compare before before"); got.status != 0 || strings.Count(got.out, "\n") > 1 {
		t.Errorf("%+v", got)
	}
	write(t, dir+"/words", "changed")
	if err := os.Remove(dir + "/a/one"); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/a/new", "")
	write(t, dir+"/after", run(t, dir, "", "snapshot -x a/b a words").out)
	got := run(t, dir, "", "snapshot-compare before after")
	if got.status != 1 || !strings.Contains(got.out, "words") || !strings.Contains(got.out, "a/one") || !strings.Contains(got.out, "a/new") {
		t.Errorf("%+v", got)
	}
	if got := run(t, dir, "", "snapshot-compare -f mode before after"); strings.Contains(got.out, "words") {
		t.Errorf("%+v", got)
	}
	for _, line := range []string{"snapshot-compare -f nonsense before after", "snapshot-compare table before", "snapshot-compare before empty"} {
		if got := run(t, dir, "", line); got.status != 2 || strings.Count(got.err, "\n") != 1 {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

func TestListsOfTheHost(t *testing.T) {
	if runtime.GOOS != "linux" {
		for _, tool := range []string{"ps", "sockets", "df"} {
			if got := run(t, t.TempDir(), "", tool); got.status != 1 || !strings.Contains(got.err, "run the host's own program") {
				t.Errorf("%s: %+v", tool, got)
			}
		}
		return
	}
	for line, want := range map[string]string{
		"ps":      `(?m)^ +PID +PPID USER[^\n]*\n(.*\n)* *` + "[0-9]+ +[0-9]+ [^\n]*coreutils.test",
		"ps aux":  `coreutils\.test`,
		"ps -ef":  `coreutils\.test`,
		"ps -Aw":  `coreutils\.test`,
		"ps -aux": `coreutils\.test`,
		"sockets": `^PROTO LOCAL +REMOTE +STATE +PID/PROGRAM\n`,
		"df":      `^DEVICE +TYPE +KIB +USED +FREE MOUNTED\n(.*\n)*.* /\n`,
		"df -k":   ` /\n`,
	} {
		if got := run(t, t.TempDir(), "", line); got.status != 0 || !regexp.MustCompile(want).MatchString(got.out) {
			t.Errorf("%s: %d, %.2000s%s", line, got.status, got.out, got.err)
		}
	}
}

func TestLongFormsShowTheSameFacts(t *testing.T) {
	dir := material(t)
	if err := os.Chmod(filepath.Join(dir, "words"), 0o640); err != nil {
		t.Fatal(err)
	}
	owner := run(t, dir, "", "stat -c '%U %G' words").out
	want := "-rw-r----- 1 " + strings.TrimSpace(owner) + " 31 2023-11-14 22:13:51 words\n"
	if got := run(t, dir, "", "ls -l words"); got.out != want {
		t.Errorf("%q, want %q", got.out, want)
	}
	if got := run(t, dir, "", "ls -l a/link"); !strings.HasPrefix(got.out, "lrwxrwxrwx 1 ") || !strings.HasSuffix(got.out, " a/link -> one\n") {
		t.Errorf("%+v", got)
	}
	if got := run(t, dir, "", "stat words"); got.out != "-rw-r----- 1 "+strings.TrimSpace(owner)+" 31 2023-11-14 22:13:51.000000000 +0000 words\n" {
		t.Errorf("%+v", got)
	}
	run(t, dir, "", "tar -cf x.tar words a/link")
	if got := run(t, dir, "", "tar -tvf x.tar"); !regexp.MustCompile(`^-rw-r----- \d+/\d+ +31 2023-11-14 22:13:51 words\nlrwxrwxrwx \d+/\d+ +0 [-0-9: ]+ a/link\n$`).MatchString(got.out) {
		t.Errorf("%+v", got)
	}
	if got := run(t, dir, "", "id"); !strings.HasPrefix(got.out, "uid=") || !strings.Contains(got.out, " gid=") {
		t.Errorf("%+v", got)
	}
	if got := run(t, dir, "", "uname -a"); len(strings.Fields(got.out)) != 4 {
		t.Errorf("%+v", got)
	}
}

// TestOptionsAreReadAsGetoptDoes looks at forms that no other test uses.
func TestOptionsAreReadAsGetoptDoes(t *testing.T) {
	dir := material(t)
	write(t, dir+"/-n", "a file\n")
	prints(t, dir, map[string]string{
		"head --lines=1 words":             "pear\n",
		"head --lines 1 words":             "pear\n",
		"head words -n1":                   "pear\n",
		"head -n1 -- -n":                   "a file\n",
		"cat -- -n":                        "a file\n",
		"wc --lines --bytes words":         " 7 31 words\n",
		"sort -rn words -u":                "10\n9\npear\n",
		"sort -t: -k3,3n table":            "no delimiter\nroot:x:0:0:Root:/root:/bin/sh\nmail:x:8:8:Mail:/var/mail:/usr/sbin/nologin\n",
		"grep -e=x -e -w -e 9 -F words -c": "1\n",
		"cut -d= -f1 empty":                "",
		"env cat -- -n":                    "a file\n",
		"tr -- -d x":                       "input\n",
	})
	if len(coreutils.Names()) != 50 || coreutils.Names()[0] != "base64" {
		t.Errorf("%d names: %v", len(coreutils.Names()), coreutils.Names())
	}
}
