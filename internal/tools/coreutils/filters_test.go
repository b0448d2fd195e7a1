package coreutils_test

import (
	"strings"
	"testing"
)

// says are lines that a tool refuses, with what it says.
func says(t *testing.T, dir string, lines map[string]string) {
	t.Helper()
	for line, want := range lines {
		got := run(t, dir, "input\n", line)
		if got.status == 0 || got.out != "" || !strings.Contains(got.err, want) || strings.Count(got.err, "\n") != 1 {
			t.Errorf("%s: %+v, want %q", line, got, want)
		}
	}
}

// prints are lines and what they print, with status 0.
func prints(t *testing.T, dir string, lines map[string]string) {
	t.Helper()
	for line, want := range lines {
		if got := run(t, dir, "input\n", line); got.status != 0 || got.out != want || got.err != "" {
			t.Errorf("%s: %+v, want %q", line, got, want)
		}
	}
}

func TestWrongValuesAreNamed(t *testing.T) {
	says(t, material(t), map[string]string{
		"head -n x words":              `"x" is not a number of lines or bytes`,
		"head -n -1 words":             `"-1" is not a number`,
		"head -n ++1 words":            `"++1" is not a number`,
		"tail -c 1k words":             `"1k" is not a number`,
		"tail -n 99999999999999 words": "is not a number",
		"head -n":                      "-n needs NUMBER",
		"head --lines":                 "--lines needs NUMBER",
		"head -q words":                `unknown option "-q"; usage: head [-n NUMBER] [-c NUMBER] [FILE]...`,
		"cat --u=1 words":              `unknown option "--u"`,
		"wc --lines=3 words":           "--lines takes no value",
		"wc -é words":                  `unknown option "-é"`,
		"uniq a b":                     "2 arguments; it takes at most 1",
		"cut -f 0 words":               `"0" is not a list such as 1,3-5`,
		"cut -f 1 -c 1 words":          "give -f or -c",
		"cut words":                    "give -f or -c",
		"cut -c 1 -d : words":          "-d goes with -f only",
		"sort -k 0 words":              `-k "0" is not a key`,
		"sort -k 1.x words":            `-k "1.x" is not a key`,
		"sort -k '' words":             `-k "" is not a key`,
		"sort -t '' words":             "-t is empty",
		"base64 -w -1 words":           `"-1" is not a number of columns`,
		"base64 -d binary":             "illegal base64 data",
		"grep":                         "name an expression",
		"grep '(' words":               "missing closing )",
		"grep 'a)(b' words":            "unexpected )",
		"grep -F":                      "name an expression",
		"tr":                           "0 arguments; it takes at least 1",
		"tr a":                         "give two sets, or -d or -s",
		"tr a ''":                      "give two sets",
		"tr -s a ''":                   "the second set is empty",
		"tr -d a b":                    "-d takes one set, and with -s two",
		"tr -ds a":                     "-d takes one set, and with -s two",
		"tr z-a x":                     `a range ends before it begins: "-a"`,
		"tr -d '[:word:]'":             `class "[:word:]" is unknown`,
		"tr '[é*]' b":                  `"[é*]" is not known here`,
		"tr 'x[=é=]y' b":               `"[=é=]" is not known here`,
		"tr '[x*3]' a":                 `"[x*3]" is not known here`,
		"tr '[=a=]' b":                 `"[=a=]" is not known here`,
		"sed":                          "give a script such as s/a/b/",
		"sed y/a/b/":                   `command "y" is not known here; s, d, p and q are`,
		"sed s/a":                      `s is not ended by "/"`,
		"sed s":                        "s has no delimiter",
		"sed s/a/b/0":                  `"0" is not which match to replace`,
		"sed s/a/b/99999999999999999":  "is not which match to replace",
		`sed 's/a/\1/'`:                `\1 is more than the 0 groups`,
		`sed 's/a/\U&/'`:               `\U is not known here in a replacement`,
		"sed 's/(/x/'":                 "missing closing )",
		"sed /a":                       "an address without its second /",
		"sed 0p":                       `"0" is not a line number`,
		"sed 2,p":                      `"p" after , is not an address`,
		"sed 2":                        "no command after the address",
		"sed pp":                       `"p" follows a command`,
		"sed 1,2q":                     "q takes one address at most",
		"sed //p":                      "an expression is empty, and none was used before it",
		"date -d tomorrow":             `-d "tomorrow" is not a time such as @1700000000`,
		"date +%U":                     "%U is not known here",
		"date 2024":                    "setting the time is not possible",
		"stat -c %B words":             "%B is not known here",
		"seq 0 0 1":                    "steps of 0 never end",
		"seq 1.5":                      `"1.5" is not a whole number`,
		"sleep -- -1":                  `"-1" is not a time`,
		"sleep 1x":                     `"1x" is not a time such as 5`,
		"id -n":                        "give one of -u and -g",
		"env A=1 cat":                  "write the variable before the command",
		"ps -Z":                        `unknown option "-Z"`,
		"ps z":                         `"z" is not known here; ps lists all processes`,
		"chmod 888 words":              `"888" is not a mode such as 755`,
		"chmod u~x words":              `"u~x" is not a mode`,
		"chmod u words":                `"u" is not a mode`,
		"chmod u+x,, words":            "is not a mode",
		"chmod 77777 words":            "is not a mode",
		"chmod 644":                    "give a mode and a file",
		"mkdir -m u+z x":               "is not a mode",
		"mktemp x.XX":                  `"x.XX" does not end with XXX`,
		"mktemp -p a /x.XXX":           "is absolute",
		"mktemp --suffix /x y.XXX":     "holds a path",
		"touch -d yesterday words":     `"yesterday" is not a time`,
		"touch -d @+1 words":           "is not a time",
		"tar -cx words":                "give one of -c, -x and -t",
		"tar -c":                       "name what goes in",
		"xargs -n 0 echo":              `-n "0" must be a number from 1 on`,
		"xargs -I '' echo":             "-I is empty",
		"rm":                           "name what is to be removed",
		"md5sum --quiet words":         "--quiet goes with -c only",
		"md5sum -c a/one":              "is not a digest and a name",
		"md5sum -c empty":              "the list holds no digests",
		"find words -name":             "-name needs a value",
		"find words -foo":              `"-foo" is not known here`,
		"find words -type x":           `-type "x" is unknown; use f, d, l, p, s, c or b`,
		"find words -perm u+x":         `-perm "u+x" is not octal`,
		"find words -perm 77777":       "is not octal",
		"find words -size k":           `-size "k" is not a number`,
		"find words -size +-1":         "is not a number",
		"find words -maxdepth -1":      `-maxdepth "-1" is not a number`,
		"find words '('":               "the expression ends where a test is wanted",
		"find words '(' -name x":       "a ( is not closed",
		"find words -name x ')'":       `")" has no ( before it`,
		"find words -exec cat":         `-exec needs a command that ends with \;`,
		"find words -exec ';'":         "-exec needs a command",
		"find words -newer nothing":    "no such file",
		"find words !":                 "the expression ends",
		"find-numbers -k iban words":   `kind "iban" is unknown; use card or ssn`,
		"find-numbers -m x words":      `m "x" is not a number`,
		"ln words":                     "1 arguments; it takes at least 2",
	})
}

// TestManyBracketsAreRefused looks at what could use up the stack.
func TestManyBracketsAreRefused(t *testing.T) {
	says(t, material(t), map[string]string{
		"find words " + strings.Repeat("'(' ", 100_000):                        "more than 100 brackets",
		"grep '" + strings.Repeat("(", 2000) + strings.Repeat(")", 2000) + "'": "nests too deeply",
	})
}

func TestTextTools(t *testing.T) {
	dir := material(t)
	write(t, dir+"/accents", "é1\nÉ2\nna\xefve\n")
	prints(t, dir, map[string]string{
		"tail -n 1 lines":           "\n",
		"cut -c 1 accents":          "é\nÉ\nn\n",
		"grep -c . accents":         "3\n",
		"grep -i É accents":         "é1\nÉ2\n",
		`sed 's/.*/[\0]/' open`:     "[one]\n[without a line end]",
		`sed 's/(a)?p/<\1>/' words`: "<>ear\n<a>ple\nfig\n<a>ple\nPear\n10\n9\n",
		"base64 -w 0 words":         "cGVhcgphcHBsZQpmaWcKYXBwbGUKUGVhcgoxMAo5Cg==",
		"uniq -d empty":             "",
		"wc":                        "      1       1       6\n",
		"basename -- -a":            "-a\n",
		"date -u -d @0":             "Thu Jan  1 00:00:00 UTC 1970\n",
		"date +%Z":                  "UTC\n",
		"env":                       "A=1\nB=2\n",
		"seq 9223372036854775807 9223372036854775807": "9223372036854775807\n",
	})
}

// TestTr maps what C's locale would take apart.
func TestTr(t *testing.T) {
	for _, c := range []struct{ in, line, want string }{
		{"é\xff", "tr é e", "e\xff"},
		{"a\xffb", `tr '\377' x`, "axb"},
		{"a\xffb\x80", `tr -d '\200-\377'`, "ab"},
		{"é\xff1", "tr -cd 0-9", "1"},
		{"aab\xff\xff", "tr -s 'a\\377'", "ab\xff"},
		{"0é", "tr -c 0-9 X", "0X"},
		{"abc", "tr a-c xy", "xyy"},
		{"a-b", `tr 'a\-' xy`, "xyb"},
		{"a]b[", "tr '[]' xy", "ayb" + "x"},
		{"aé€😀", "tr -d é-€", "a😀"},
		{"", "tr a b", ""},
	} {
		if got := run(t, t.TempDir(), c.in, c.line); got.out != c.want || got.status != 0 {
			t.Errorf("%s of %q: %+v, want %q", c.line, c.in, got, c.want)
		}
	}
}

// TestGrepOfWords looks at what begins or ends with no letter.
func TestGrepOfWords(t *testing.T) {
	needHost(t, "grep")
	for _, line := range []string{"grep -aw @x", "grep -wo @x", "grep -wo x", "grep -w -- -x", "grep -wo 'x.'", "grep -wo 'x*'", "grep -wc ''", "grep -wE 'x|xy'", "grep -woE 'x|xy'"} {
		for _, in := range []string{"@x\n", "a@x\n", "x x x\n", "a @x b\n", "xy x\n", "x-x\n", "-x\n", "xx\n", "_x\n", "x_\n", "\n", "xxy x.y\n"} {
			want, got := host(t, t.TempDir(), in, line), run(t, t.TempDir(), in, line)
			if got.out != want.out || got.status != want.status {
				t.Errorf("%s of %q: %+v, want %+v", line, in, got, want)
			}
		}
	}
}

// TestSortKeysAreCompared sorts many lines by many keys.
func TestSortKeysAreCompared(t *testing.T) {
	needHost(t, "sort")
	in := "b 2\na  10\n c 2\n\tc 2\nb 02\nB 2\n\n \na\n-1 x\nx -1\nx -1.5\nx -1.50\nx .5\nx 0.5\nx 00\nx -\nx 1e3\nx 1,000\na:b:c\n:b\n::c\na:\n"
	for _, key := range []string{"1", "1,1", "2", "2,2", "2n", "2,2n", "2nr", "2b,2", "2,2b", "1.2", "1.2,1.3", "1.2b,1.3b", "2.2", "1f", "1,1fr", "3", "2,1", "1,2.1", "1.3,1.2", "1b", "1nb,2"} {
		for _, options := range []string{"", "-t:", "-r", "-u", "-n", "-f", "-t ' '", "-nru"} {
			line := "sort " + options + " -k " + key
			want, got := host(t, t.TempDir(), in, line), run(t, t.TempDir(), in, line)
			if got != (result{want.out, got.err, want.status}) {
				t.Errorf("%s: %q %s, want %q %s", line, got.out, got.err, want.out, want.err)
			}
		}
	}
}
