// Package coreutils holds the utilities that scripts of jobs use, such as cat, sed, find and
// tar, inside of the endpoint program, so that a job need not trust, or find, those of its
// host. Each is a function of its arguments, streams, working folder and environment; it
// knows no shell, keeps no state, and ends with its context. What it shares with a POSIX
// host prints the same there; docs/guide.md lists the known differences.
package coreutils

import (
	"context"
	"fmt"
	"io"
	"slices"
)

// Env is what a tool works with.
type Env struct {
	In       io.Reader // nil is empty
	Out, Err io.Writer
	Dir      string // absolute; relative paths begin there
	Lookup   func(name string) (string, bool)
	Environ  func() []string // "NAME=VALUE"
	// Exec runs a command for env, find and xargs with this standard input, nil for an
	// empty one, and returns its status. An error ends the tool and is what Run returns.
	Exec func(ctx context.Context, argv []string, in io.Reader) (int, error)
}

// Names returns the names of the tools, in order.
func Names() []string {
	var names []string
	for _, t := range tools {
		names = append(names, t.name)
	}
	slices.Sort(names)
	return names
}

// Has says whether there is a tool of that name.
func Has(name string) bool { return indexOf(name) >= 0 }

func indexOf(name string) int {
	return slices.IndexFunc(tools, func(t tool) bool { return t.name == name })
}

// Run runs the tool that argv begins with, and returns its exit status: 0, 1 for what
// could not be done, 2 for a wrong use, and what the tool's documents say. An error says
// that the context ended, or is one of env.Exec.
func Run(ctx context.Context, env Env, argv []string) (int, error) {
	i := indexOf(argv[0])
	if i < 0 {
		return 127, fmt.Errorf("there is no tool %q", argv[0])
	}
	t := tools[i]
	c := newCall(ctx, env, argv)
	if slices.Equal(argv[1:], []string{"--help"}) {
		_, _ = fmt.Fprintln(env.Out, "usage: "+t.usage()) // nobody else to tell
		return 0, nil
	}
	err := c.prepare(t)
	if err == nil {
		err = t.run(c)
	}
	return c.finish(err, t)
}

// tool is one utility. An error of kind [exit] is its status alone.
type tool struct {
	name        string
	run         func(*call) error
	options     string // as parseOptions reads them
	operands    string // as usage shows them
	least, most int    // operands; most is -1 for no bound
	inOrder     bool   // options end at the first operand
	plain       bool   // it reads its arguments itself
	rewrite     func(args []string) []string
}

const (
	packing = "c stdout, d decompress, f force, k keep, 1 fast, 2, 3, 4, 5, 6, 7, 8, 9 best"
	summing = "c check, - quiet"
)

// tools are the utilities. It is a list, not a map, so that it costs nothing at the start
// of the program.
var tools = []tool{
	{name: "base64", run: base64Tool, options: "d decode, w wrap COLUMNS", operands: "[FILE]", most: 1},
	{name: "basename", run: basename, operands: "PATH [SUFFIX]", least: 1, most: 2},
	{name: "cat", run: cat, options: "u", operands: "[FILE]...", most: -1},
	{name: "chmod", run: chmod, options: "R recursive, - reference FILE", operands: "[MODE] FILE...", least: 1, most: -1, rewrite: minusMode},
	{name: "cp", run: cp, options: "R recursive, r, f force, i interactive, v verbose, P no-dereference", operands: "FROM... TO", least: 2, most: -1},
	{name: "cut", run: cut, options: "c characters LIST, f fields LIST, d delimiter CHARACTER, s only-delimited", operands: "[FILE]...", most: -1},
	{name: "date", run: date, options: "u utc, d date @SECONDS", operands: "[+FORMAT]", most: 1},
	{name: "df", run: df, options: "k kib"},
	{name: "dirname", run: dirname, operands: "PATH...", least: 1, most: -1},
	{name: "env", run: env, operands: "[COMMAND [ARGUMENT]...]", most: -1, inOrder: true},
	{name: "find", run: find, operands: "[PATH]... [EXPRESSION]", plain: true},
	{name: "grep", run: grep, options: "E extended-regexp, F fixed-strings, H with-filename, a text, c count, h no-filename, i ignore-case, l files-with-matches, n line-number, o only-matching, q quiet, r recursive, v invert-match, w word-regexp, x line-regexp, e regexp EXPRESSION", operands: "[EXPRESSION] [FILE]...", most: -1},
	{name: "gunzip", run: gzipFiles, options: packing, operands: "[FILE]...", most: -1},
	{name: "gzcat", run: gzipFiles, options: packing, operands: "[FILE]...", most: -1},
	{name: "gzip", run: gzipFiles, options: packing, operands: "[FILE]...", most: -1},
	{name: "head", run: head, options: "n lines NUMBER, c bytes NUMBER", operands: "[FILE]...", most: -1, rewrite: minusNumber},
	{name: "hostname", run: hostname},
	{name: "id", run: id, options: "u user, g group, n name"},
	{name: "ln", run: ln, options: "s symbolic, f force", operands: "TARGET NAME", least: 2, most: 2},
	{name: "ls", run: ls, options: "1 one, R recursive, S size, a all, d directory, l long, r reverse, t time", operands: "[PATH]...", most: -1},
	{name: "md5sum", run: sum("md5"), options: summing, operands: "[FILE]...", most: -1},
	{name: "mkdir", run: mkdir, options: "p parents, v verbose, m mode MODE", operands: "FOLDER...", least: 1, most: -1},
	{name: "mktemp", run: mktemp, options: "d directory, u dry-run, q quiet, p tmpdir FOLDER, - suffix SUFFIX", operands: "[TEMPLATE]", most: 1},
	{name: "mv", run: mv, options: "f force, n no-clobber, u update", operands: "FROM... TO", least: 2, most: -1},
	{name: "ps", run: ps, options: "A, a, e, f, u, w, x", operands: "[aefuwx]", most: 1},
	{name: "readlink", run: readlink, options: "f canonicalize", operands: "PATH...", least: 1, most: -1},
	{name: "rm", run: rm, options: "R recursive, r, f force, i interactive, v verbose", operands: "FILE...", most: -1},
	{name: "sed", run: sed, options: "E regexp-extended, n quiet, r, e expression SCRIPT", operands: "[SCRIPT] [FILE]...", most: -1},
	{name: "seq", run: seq, operands: "[FIRST [STEP]] LAST", plain: true},
	{name: "sha1sum", run: sum("sha1"), options: summing, operands: "[FILE]...", most: -1},
	{name: "sha256sum", run: sum("sha256"), options: summing, operands: "[FILE]...", most: -1},
	{name: "sha512sum", run: sum("sha512"), options: summing, operands: "[FILE]...", most: -1},
	{name: "sleep", run: sleep, operands: "TIME...", least: 1, most: -1},
	{name: "sockets", run: sockets},
	{name: "sort", run: sortLines, options: "f ignore-case, n numeric-sort, r reverse, u unique, k key FIELD[.CHARACTER][,FIELD[.CHARACTER]], t field-separator CHARACTER", operands: "[FILE]...", most: -1},
	{name: "stat", run: stat, options: "L dereference, c format FORMAT", operands: "FILE...", least: 1, most: -1},
	{name: "tail", run: tail, options: "n lines NUMBER, c bytes NUMBER", operands: "[FILE]...", most: -1, rewrite: minusNumber},
	{name: "tar", run: tarFiles, options: "c create, x extract, t list, z gzip, v verbose, f file FILE, C directory FOLDER", operands: "[PATH]...", most: -1, rewrite: tarLetters},
	{name: "tee", run: tee, options: "a append", operands: "[FILE]...", most: -1},
	{name: "touch", run: touch, options: "a, c no-create, m, d date TIME", operands: "FILE...", least: 1, most: -1},
	{name: "tr", run: tr, options: "c complement, d delete, s squeeze-repeats", operands: "SET [SET]", least: 1, most: 2, inOrder: true},
	{name: "uname", run: uname, options: "a all, m machine, n nodename, r kernel-release, s kernel-name"},
	{name: "uniq", run: uniq, options: "c count, d repeated, u unique", operands: "[FILE]", most: 1},
	{name: "wc", run: wc, options: "c bytes, l lines, w words", operands: "[FILE]...", most: -1},
	{name: "xargs", run: xargs, options: "0 null, r no-run-if-empty, I replace TEXT, n max-args NUMBER", operands: "[COMMAND [ARGUMENT]...]", most: -1, inOrder: true},
	{name: "zcat", run: gzipFiles, options: packing, operands: "[FILE]...", most: -1},

	{name: "find-known", run: findKnown, options: "- max-size BYTES", operands: "SET PATH...", least: 2, most: -1},
	{name: "find-numbers", run: findNumbers, options: "k kind KINDS, C context CHARACTERS, m max-count NUMBER", operands: "PATH...", least: 1, most: -1},
	{name: "snapshot", run: takeSnapshot, options: "x exclude PATH", operands: "PATH...", least: 1, most: -1},
	{name: "snapshot-compare", run: compareSnapshots, options: "f fields FIELDS", operands: "BEFORE AFTER", least: 2, most: 2},
}
