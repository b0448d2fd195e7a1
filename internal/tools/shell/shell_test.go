package shell_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/tools/coreutils"
	"webjob.dev/webjob/internal/tools/shell"
	"webjob.dev/webjob/internal/tools/streams"
)

// run runs a script in a folder and returns its output and status.
func run(t *testing.T, dir, script string, args ...string) (string, int) {
	t.Helper()
	t.Chdir(dir)
	var out bytes.Buffer
	status, err := shell.Run(t.Context(), "script", strings.NewReader(script), args, streams.Standard{In: strings.NewReader("input\n"), Out: &out, Err: &out})
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return out.String(), status
}

// material makes a folder of files to work on.
func material(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"words":    "pear\napple\nfig\napple\nPear\n10\n9\n",
		"table":    "root:x:0:0:Root:/root:/bin/sh\nmail:x:8:8:Mail:/var/mail:/usr/sbin/nologin\nno delimiter\n",
		"open":     "without a line end",
		"empty":    "",
		"a/one":    "1\n",
		"a/b/two":  "a longer one\n",
		"a/.three": "3\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(1_700_000_000+int64(len(name)), 0)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("one", filepath.Join(dir, "a", "link")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestToolsDoWhatTheHostsDo runs scripts with the host's shell and tools, too: what they
// print and their status must be the same.
func TestToolsDoWhatTheHostsDo(t *testing.T) {
	for _, script := range []string{
		`cat words table; cat open`,
		`head -n 2 words; head -3 words; head -c 5 words; head -n1 words table; head open`,
		`tail -n 2 words; tail -c 4 words; tail -n +5 words; tail -1 open; tail -c +3 open`,
		`sort words; sort -r words; sort -u words; sort -n words; sort -t: -k3 -n table`,
		`sort words | uniq; sort words | uniq -c; sort words | uniq -d; sort words | uniq -u`,
		`cut -d: -f1,7 table; cut -d: -f3- table; cut -c2-4 words; cut -s -d: -f1 table`,
		`tr a-z A-Z <words; tr -d aeiou <words; tr -s p <words; tr '[:lower:]' x <words; tr -cd '[:alpha:]' <words; printf 'a\377b' | tr a c`,
		`grep p words; grep -v p words; grep -c p words; grep -n fig words; grep -i PEAR words; grep -l p words table; grep -x fig words || echo status $?; grep -o 'p*' words`,
		`grep -E 'app|fig' words; grep -F . words; echo $?; grep -q fig words && echo found; grep -e pear -e fig words; grep -h p words table; grep -H fig words; grep -w pear words`,
		`grep nothing words; echo $?; grep -rc 1 a | sort; grep -r longer a`,
		`sed 's/p/<&>/' words; sed 's/p/X/g' words; sed -n '2p' words; sed '2d' words; sed -n '$p' words; sed '/apple/d' words; sed -n '2,4p' words`,
		`sed -E 's/(a)(p)/\2\1/2;s/e/E/' words; sed -e 's/a/b/' -e 's/b/c/' words; sed 3q words; sed -n '/fig/,$p' words; sed 's|/|\||g' table; sed '2!d' words; sed -n 's/fig/x/p' words`,
		`wc -l <words; wc -w <table; wc -c <open; wc -l <empty`,
		`seq 3; seq 2 4; seq 5 -2 1`,
		`basename /a/b.c .c; basename /a/b/; dirname /a/b/c; dirname a; dirname /a; dirname /; dirname a/b/`,
		`find a | sort; find a -type f | sort; find a -name 'o*'; find a -maxdepth 1 | sort; find . -type l; find a -type f -size +3c | sort; find a ! -type d | sort`,
		`find a -name one -o -name two | sort; find a -type f -exec cat {} \; | sort; find a -mindepth 2; find a -path '*/b/*'; find a -newer a/.three | sort; find . -perm 644 -name words`,
		`find a -type f -print0 | xargs -0 cat | sort; echo words table | xargs wc -c | wc -l; printf 'x\ny\n' | xargs -I% echo '<%>'; printf '1 2 3' | xargs -n 2 echo`,
		`sha256sum words table; md5sum open; sha1sum words; sha512sum empty; sha256sum words >sums; sha256sum -c sums; echo "$(sha256sum <open)"`,
		`echo changed >c; sha256sum c >sums; echo more >>c; sha256sum -c sums 2>/dev/null; echo $?`,
		`ls; ls a; ls -a a; ls -d a; ls -1 words table; ls nothing 2>/dev/null; echo $?`,
		`stat -c '%n %s %a %Y %F' words | sed 's/ regular file//;s/ %F//'; stat -c %A words; stat -c '%y' table | cut -c1-29 | sed 's/ [-+].*//' | cut -d. -f2`,
		`mkdir -p x/y; cp words x/y/w; mv x/y/w x/v; ls x; rm -r x; ls x 2>/dev/null; echo $?; touch new; ls new; chmod 600 new; stat -c %a new; mkdir x 2>/dev/null && rmdir x 2>/dev/null; rm -rf x`,
		`ln -s words l; readlink l; cat l; rm l; ln words h; stat -c %h h; rm h; cd a; readlink link; cat one; cd b; cat two; cd ..; cat .three`,
		`base64 words; base64 words | base64 -d; gzip -c words | gzip -dc; gzip -c table | gunzip -c; gzip -9 words; gzip -k table; ls; zcat words.gz; gunzip words.gz; cat words; gzip -d nothing.gz 2>/dev/null; echo $?`,
		`tar -czf x.tgz a words; tar -tzf x.tgz | sed 's|/$||' | sort; mkdir o; tar -xzf x.tgz -C o; cat o/words o/a/b/two; rm -r o x.tgz`,
		`echo x | tee t1 t2; cat t1 t2; echo y | tee -a t1; cat t1`,
		`date -u -d @0 '+%Y-%m-%d %H:%M:%S %j %a %b %s %% %Z %F %T'`,
		`hostname; id -u; id -un; id -g; uname -s; uname -r; uname -n; uname -m; uname -snr`,
		`A=1 env | grep '^A='; env echo hello; env | grep -c '^HOME='`,
		`f() { return 3; }; f; echo $?; for x in "$@"; do echo "[$x]"; done; echo $#; case abc in a*) echo match;; esac; while read -r line; do echo "$line"; done <words`,
		`x=$(printf '%s-' 1 2); echo "$x"; echo $((3 * 4)); trap 'echo bye' EXIT; (exit 4); echo $?; test -f words && [ ! -d words ] && echo file; set -e; false; echo never`,
		`cat <<EOF | tr a-z A-Z
here $1
EOF
`,
		`cat nothing 2>/dev/null || echo failed; rm nothing 2>/dev/null || echo failed; cp nothing x 2>/dev/null || echo failed`,
		`cat; exit 5`,
	} {
		t.Run(script, func(t *testing.T) {
			t.Setenv("LC_ALL", "C")
			t.Setenv("TZ", "UTC")
			theirs, ours := material(t), material(t)
			host := exec.CommandContext(t.Context(), "sh", "-c", script, "script", "first word", "2")
			host.Dir, host.Stdin = theirs, strings.NewReader("input\n")
			want, err := host.CombinedOutput()
			wantStatus := 0
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				wantStatus = exit.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			got, status := run(t, ours, script, "first word", "2")
			if got != string(want) || status != wantStatus {
				t.Errorf("status %d and\n%s\nthe host's tools gave status %d and\n%s", status, got, wantStatus, want)
			}
		})
	}
}

// TestScriptsNeedNothingOfTheHost runs tools with an empty PATH.
func TestScriptsNeedNothingOfTheHost(t *testing.T) {
	t.Setenv("PATH", "")
	for _, name := range coreutils.Names() {
		if out, status := run(t, t.TempDir(), name+" --no-such-option"); status == 0 || status == 127 || !strings.Contains(out, name) {
			t.Errorf("%s ended with status %d and said %q", name, status, out)
		}
	}
	if out, status := run(t, t.TempDir(), "perl -e 1"); status != 127 {
		t.Errorf("a program that is not there gave status %d and %q", status, out)
	}
	for script, want := range map[string]string{
		"ps":      "shell.test",
		"sockets": "PROTO",
		"df":      "MOUNTED",
	} {
		if out, status := run(t, t.TempDir(), script); status != 0 || !strings.Contains(out, want) {
			t.Errorf("%s ended with status %d and said %.200q", script, status, out)
		}
	}
}

func TestScriptsFromWindowsEditorsRun(t *testing.T) {
	got, status := run(t, t.TempDir(), "\xef\xbb\xbf#!/bin/sh\r\nif true; then\r\n  echo it runs\r\nfi\r\n")
	if got != "it runs\n" || status != 0 {
		t.Errorf("status %d, %q", status, got)
	}
}

func TestBadScriptsDoNotRun(t *testing.T) {
	for name, script := range map[string]string{"NUL": "echo a\x00b", "broken": "if true; then", "quote": "echo 'x"} {
		var out bytes.Buffer
		_, err := shell.Run(t.Context(), "bad.sh", strings.NewReader(script), nil, streams.Standard{Out: &out, Err: &out})
		if webjob.KindOf(err) != webjob.Invalid || !strings.Contains(err.Error(), "bad.sh") || out.Len() > 0 {
			t.Errorf("%s: %v, %q", name, err, out.String())
		}
	}
}

func TestEndlessScriptsAreEnded(t *testing.T) {
	for _, script := range []string{"while :; do :; done", "sleep 1000", "seq 1000000000000 >/dev/null", "f() { f; }; f", "cat /dev/zero | wc -c", "grep -r x /proc/self/task /dev/zero"} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		start := time.Now()
		status, err := shell.Run(ctx, "s", strings.NewReader(script), nil, streams.Standard{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &bytes.Buffer{}})
		cancel()
		if err == nil && status == 0 || time.Since(start) > 20*time.Second {
			t.Errorf("%s: status %d, %v after %s", script, status, err, time.Since(start))
		}
	}
}

// TestCommandsOfToolsNeedNothingOfTheHost runs what env, find and xargs are given with an
// empty PATH: builtins of the shell and tools, not functions of the script, with its
// folder and variables, and so that xargs keeps its input to itself.
func TestCommandsOfToolsNeedNothingOfTheHost(t *testing.T) {
	t.Setenv("PATH", "")
	for script, want := range map[string]string{
		`printf 'a b' | xargs -n 1 echo x`:                                     "x a\nx b\n",
		`printf 'a b' | xargs`:                                                 "a b\n",
		`find a -name one -exec printf '<%s>' {} \;`:                           "<a/one>",
		`find . -type f -exec test -s {} \; -name one -print`:                  "./a/one\n",
		`find a -name one -exec wc -c {} +`:                                    "2 a/one\n",
		`env echo it works`:                                                    "it works\n",
		`env true; echo $?; env false; echo $?; env exit 3; echo $? after`:     "0\n1\n3 after\n",
		`cd a; printf one | xargs cat; X=1 env | grep '^X='`:                   "1\nX=1\n",
		`f() { echo function; }; echo x | xargs f 2>/dev/null; echo $?`:        "127\n",
		`printf 'a\nb\n' | xargs -n 1 cat - 2>/dev/null; echo $?`:              "123\n",
		`echo 'echo no' | find a -name one -exec cat - \;`:                     "echo no\n",
		`printf '%s\n' "a'b;c" | xargs -I% echo '%' 2>/dev/null || echo quote`: "quote\n",
		`printf '%s\0' 'a;b $(c) "d" \e'"'" | xargs -0 echo`:                   "a;b $(c) \"d\" \\e'\n",
		`seq 100000 | head -n 1; echo $?`:                                      "1\n0\n",
		`base64 </dev/null; wc -c </dev/null; sort - </dev/null`:               "0\n",
		`cat words | wc; wc <words`:                                            "      7       7      31\n 7  7 31\n",
	} {
		if got, _ := run(t, material(t), script); got != want {
			t.Errorf("%s\n%q, want %q", script, got, want)
		}
	}
}

// TestCommandsInCommandsAreBounded looks at tools that run tools that run tools.
func TestCommandsInCommandsAreBounded(t *testing.T) {
	if out, status := run(t, t.TempDir(), strings.Repeat("env ", 100)+"echo deep"); status != 0 || out != "deep\n" {
		t.Errorf("%d, %q", status, out)
	}
	var out bytes.Buffer
	script := strings.Repeat("env ", 101) + "echo deep"
	_, err := shell.Run(t.Context(), "s", strings.NewReader(script), nil, streams.Standard{Out: &out, Err: &out})
	if err == nil || !strings.Contains(err.Error(), "more than 100 commands run each other") || out.Len() > 0 {
		t.Errorf("%v, %q", err, out.String())
	}
}
