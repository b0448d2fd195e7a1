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
	"maps"
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
func Names() []string { return slices.Sorted(maps.Keys(tools)) }

// Has says whether there is a tool of that name.
func Has(name string) bool { _, found := tools[name]; return found }

// Run runs the tool that argv begins with, and returns its exit status: 0, 1 for what
// could not be done, 2 for a wrong use, and what the tool's documents say. An error says
// that the context ended, or is one of env.Exec.
func Run(ctx context.Context, env Env, argv []string) (int, error) {
	t, found := tools[argv[0]]
	if !found {
		return 127, fmt.Errorf("there is no tool %q", argv[0])
	}
	c := newCall(ctx, env, argv)
	if slices.Equal(argv[1:], []string{"--help"}) {
		_, _ = fmt.Fprintln(env.Out, "usage: "+t.usage(c.name)) // nobody else to tell
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

// tools are the utilities by name.
var tools = map[string]tool{
	"base64":    {run: base64Tool, options: "d decode, w wrap COLUMNS", operands: "[FILE]", most: 1},
	"basename":  {run: basename, operands: "PATH [SUFFIX]", least: 1, most: 2},
	"cat":       {run: cat, options: "u", operands: "[FILE]...", most: -1},
	"chmod":     {run: chmod, options: "R recursive, - reference FILE", operands: "[MODE] FILE...", least: 1, most: -1, rewrite: minusMode},
	"cp":        {run: cp, options: "R recursive, r, f force, i interactive, v verbose, P no-dereference", operands: "FROM... TO", least: 2, most: -1},
	"cut":       {run: cut, options: "c characters LIST, f fields LIST, d delimiter CHARACTER, s only-delimited", operands: "[FILE]...", most: -1},
	"date":      {run: date, options: "u utc, d date @SECONDS", operands: "[+FORMAT]", most: 1},
	"df":        {run: df, options: "k kib"},
	"dirname":   {run: dirname, operands: "PATH...", least: 1, most: -1},
	"env":       {run: env, operands: "[COMMAND [ARGUMENT]...]", most: -1, inOrder: true},
	"find":      {run: find, operands: "[PATH]... [EXPRESSION]", plain: true},
	"grep":      {run: grep, options: "E extended-regexp, F fixed-strings, H with-filename, a text, c count, h no-filename, i ignore-case, l files-with-matches, n line-number, o only-matching, q quiet, r recursive, v invert-match, w word-regexp, x line-regexp, e regexp EXPRESSION", operands: "[EXPRESSION] [FILE]...", most: -1},
	"gunzip":    {run: gzipFiles, options: packing, operands: "[FILE]...", most: -1},
	"gzcat":     {run: gzipFiles, options: packing, operands: "[FILE]...", most: -1},
	"gzip":      {run: gzipFiles, options: packing, operands: "[FILE]...", most: -1},
	"head":      {run: head, options: "n lines NUMBER, c bytes NUMBER", operands: "[FILE]...", most: -1, rewrite: minusNumber},
	"hostname":  {run: hostname},
	"id":        {run: id, options: "u user, g group, n name"},
	"ln":        {run: ln, options: "s symbolic, f force", operands: "TARGET NAME", least: 2, most: 2},
	"ls":        {run: ls, options: "1 one, R recursive, S size, a all, d directory, l long, r reverse, t time", operands: "[PATH]...", most: -1},
	"md5sum":    {run: sum("md5"), options: summing, operands: "[FILE]...", most: -1},
	"mkdir":     {run: mkdir, options: "p parents, v verbose, m mode MODE", operands: "FOLDER...", least: 1, most: -1},
	"mktemp":    {run: mktemp, options: "d directory, u dry-run, q quiet, p tmpdir FOLDER, - suffix SUFFIX", operands: "[TEMPLATE]", most: 1},
	"mv":        {run: mv, options: "f force, n no-clobber, u update", operands: "FROM... TO", least: 2, most: -1},
	"ps":        {run: ps, options: "A, a, e, f, u, w, x", operands: "[aefuwx]", most: 1},
	"readlink":  {run: readlink, options: "f canonicalize", operands: "PATH...", least: 1, most: -1},
	"rm":        {run: rm, options: "R recursive, r, f force, i interactive, v verbose", operands: "FILE...", most: -1},
	"sed":       {run: sed, options: "E regexp-extended, n quiet, r, e expression SCRIPT", operands: "[SCRIPT] [FILE]...", most: -1},
	"seq":       {run: seq, operands: "[FIRST [STEP]] LAST", plain: true},
	"sha1sum":   {run: sum("sha1"), options: summing, operands: "[FILE]...", most: -1},
	"sha256sum": {run: sum("sha256"), options: summing, operands: "[FILE]...", most: -1},
	"sha512sum": {run: sum("sha512"), options: summing, operands: "[FILE]...", most: -1},
	"sleep":     {run: sleep, operands: "TIME...", least: 1, most: -1},
	"sockets":   {run: sockets},
	"sort":      {run: sortLines, options: "f ignore-case, n numeric-sort, r reverse, u unique, k key FIELD[.CHARACTER][,FIELD[.CHARACTER]], t field-separator CHARACTER", operands: "[FILE]...", most: -1},
	"stat":      {run: stat, options: "L dereference, c format FORMAT", operands: "FILE...", least: 1, most: -1},
	"tail":      {run: tail, options: "n lines NUMBER, c bytes NUMBER", operands: "[FILE]...", most: -1, rewrite: minusNumber},
	"tar":       {run: tarFiles, options: "c create, x extract, t list, z gzip, v verbose, f file FILE, C directory FOLDER", operands: "[PATH]...", most: -1, rewrite: tarLetters},
	"tee":       {run: tee, options: "a append", operands: "[FILE]...", most: -1},
	"touch":     {run: touch, options: "a, c no-create, m, d date TIME", operands: "FILE...", least: 1, most: -1},
	"tr":        {run: tr, options: "c complement, d delete, s squeeze-repeats", operands: "SET [SET]", least: 1, most: 2, inOrder: true},
	"uname":     {run: uname, options: "a all, m machine, n nodename, r kernel-release, s kernel-name"},
	"uniq":      {run: uniq, options: "c count, d repeated, u unique", operands: "[FILE]", most: 1},
	"wc":        {run: wc, options: "c bytes, l lines, w words", operands: "[FILE]...", most: -1},
	"xargs":     {run: xargs, options: "0 null, r no-run-if-empty, I replace TEXT, n max-args NUMBER", operands: "[COMMAND [ARGUMENT]...]", most: -1, inOrder: true},
	"zcat":      {run: gzipFiles, options: packing, operands: "[FILE]...", most: -1},

	"find-known":       {run: findKnown, options: "- max-size BYTES", operands: "SET PATH...", least: 2, most: -1},
	"find-numbers":     {run: findNumbers, options: "k kind KINDS, C context CHARACTERS, m max-count NUMBER", operands: "PATH...", least: 1, most: -1},
	"snapshot":         {run: takeSnapshot, options: "x exclude PATH", operands: "PATH...", least: 1, most: -1},
	"snapshot-compare": {run: compareSnapshots, options: "f fields FIELDS", operands: "BEFORE AFTER", least: 2, most: 2},
}
