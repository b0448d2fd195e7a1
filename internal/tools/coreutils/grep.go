package coreutils

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"regexp/syntax"
	"strings"
)

// Regular expressions of these tools are RE2's, as in Go: no input makes them slow.

// grep prints the lines that match. It ends with 1 when none does, and with 2 when not all
// could be read.
func grep(c *call) error {
	expressions := c.values("e")
	if len(expressions) == 0 {
		if len(c.args) == 0 {
			return usageError{errors.New("name an expression")}
		}
		expressions, c.args = c.args[:1], c.args[1:]
	}
	m, err := newMatcher(expressions, c.has("F"), c.has("i"), c.has("w"), c.has("x"))
	if err != nil {
		return usageError{err}
	}
	g := &grepCall{
		call: c, matcher: m, invert: c.has("v"), numbers: c.has("n"), count: c.has("c"), quiet: c.has("q"),
		list: c.has("l"), only: c.has("o"),
	}
	if c.has("r") {
		err = g.below(c.args)
	} else {
		err = c.inputs(c.args, func(name string, r io.Reader) error {
			if name == "-" {
				name = "(standard input)"
			}
			return g.search(name, r, len(c.args) > 1)
		})
	}
	switch {
	case g.matched && g.quiet:
		c.failed = false // what was asked is known
		return nil
	case g.matched && err == nil && !c.failed:
		return nil
	case err != nil:
		return err
	case c.failed:
		return exit(2)
	}
	return exit(1)
}

// errEnough ends a search early.
var errEnough = errors.New("enough")

type grepCall struct {
	*call
	*matcher
	invert, numbers, count, quiet, list, only bool
	matched                                   bool
}

// below searches all files below the roots, which are "." when there are none.
func (g *grepCall) below(roots []string) error {
	here := len(roots) == 0
	if here {
		roots = []string{"."}
	}
	for _, root := range roots {
		start := root
		if info, err := os.Stat(g.path(root)); err == nil && info.IsDir() {
			start = strings.TrimSuffix(root, "/") + "/" // a link that is named is followed
		}
		err := g.walk(start, func(name string, entry fs.DirEntry, depth int) error {
			if entry.IsDir() || depth > 0 && !entry.Type().IsRegular() {
				return nil
			}
			shown := name
			if here {
				shown = strings.TrimPrefix(name, "./")
			}
			return g.inputs([]string{name}, func(_ string, r io.Reader) error { return g.search(shown, r, depth > 0 || len(roots) > 1) })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// search prints the lines of one file that match.
func (g *grepCall) search(name string, r io.Reader, named bool) error {
	named = (named || g.has("H")) && !g.has("h")
	number, hits := 0, 0
	err := eachLine(r, func(line string) error {
		line = strings.TrimSuffix(line, "\n")
		number++
		if g.matches(line) == g.invert {
			return nil
		}
		hits++
		g.matched = true
		switch {
		case g.quiet || g.list:
			return errEnough
		case g.count || g.only && g.invert:
			return nil
		case !g.only:
			return g.print(name, named, number, line)
		}
		for _, found := range g.all(line) {
			if err := g.print(name, named, number, found); err != nil {
				return err
			}
		}
		return nil
	})
	if g.quiet || err != nil && !errors.Is(err, errEnough) {
		return err
	}
	if g.count && !g.list {
		if named {
			_, _ = fmt.Fprintf(g.out, "%s:", name) // an error sticks, as below
		}
		_, _ = fmt.Fprintln(g.out, hits)
	}
	if g.list && hits > 0 {
		_, err = fmt.Fprintln(g.out, name)
		return err
	}
	return nil
}

func (g *grepCall) print(name string, named bool, number int, text string) error {
	if named {
		_, _ = fmt.Fprintf(g.out, "%s:", name) // an error sticks, as below
	}
	if g.numbers {
		_, _ = fmt.Fprintf(g.out, "%d:", number)
	}
	_, err := fmt.Fprintln(g.out, text)
	return err
}

// matcher finds what one of several expressions matches.
type matcher struct {
	re   *regexp.Regexp
	word *regexp.Regexp // re between what is no part of a word, as its group; nil without -w
}

func newMatcher(expressions []string, fixed, ignoreCase, word, whole bool) (*matcher, error) {
	var alternatives []string
	for _, lines := range expressions {
		for e := range strings.SplitSeq(lines, "\n") {
			if fixed {
				e = regexp.QuoteMeta(e)
			} else if _, err := compileExpression(e); err != nil { // else "a)(b" would be well in brackets
				return nil, err
			}
			alternatives = append(alternatives, "(?:"+e+")")
		}
	}
	pattern := strings.Join(alternatives, "|")
	if whole {
		pattern = `\A(?:` + pattern + `)\z`
	}
	flags := ""
	if ignoreCase {
		flags = "(?i)"
	}
	re, err := compileExpression(flags + pattern)
	if err != nil {
		return nil, err
	}
	m := &matcher{re: re}
	if word && !whole {
		m.word, err = compileExpression(flags + `(?:\A|\W)(` + pattern + `)(?:\W|\z)`)
	}
	return m, err
}

// compileExpression is regexp.Compile with a short message.
func compileExpression(text string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(text)
	var wrong *syntax.Error
	if errors.As(err, &wrong) {
		err = fmt.Errorf("expression %.60q: %s", wrong.Expr, wrong.Code)
	}
	return re, err
}

func (m *matcher) matches(line string) bool {
	if m.word != nil {
		return m.word.MatchString(line)
	}
	return m.re.MatchString(line)
}

// all returns what matches in a line, without empty matches.
func (m *matcher) all(line string) []string {
	var found []string
	if m.word == nil {
		for _, s := range m.re.FindAllString(line, -1) {
			if s != "" {
				found = append(found, s)
			}
		}
		return found
	}
	for line != "" {
		at := m.word.FindStringSubmatchIndex(line)
		if at == nil {
			return found
		}
		if at[3] > at[2] {
			found = append(found, line[at[2]:at[3]])
		}
		if at[1] == len(line) && at[3] == at[1] {
			return found
		}
		line = line[max(at[3], at[0]+1):] // what ends one word begins the next
	}
	return found
}
