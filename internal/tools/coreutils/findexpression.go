package coreutils

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"webjob.dev/webjob/internal/hostfs"
)

// findParser reads an expression of find: tests that are joined by -o, by -a or nothing,
// and grouped by brackets.
type findParser struct {
	call        *call
	words       []string
	least, most int // depth
	oneDevice   bool
	acts        bool // there is an action; else what passes is printed
	depth       int  // of brackets
	batches     []*batch
}

const maxBrackets = 100

func (p *findParser) parse() (findTest, error) {
	if len(p.words) == 0 {
		return p.print("\n"), nil
	}
	test, err := p.either()
	switch {
	case err != nil:
		return nil, err
	case len(p.words) > 0:
		return nil, fmt.Errorf("%.40q has no ( before it", p.words[0])
	case p.acts:
		return test, nil
	}
	return both(test, p.print("\n")), nil
}

func both(a, b findTest) findTest {
	return func(name string, info fs.FileInfo) (bool, error) {
		if passes, err := a(name, info); err != nil || !passes {
			return false, err
		}
		return b(name, info)
	}
}

// either reads tests that are joined by -o.
func (p *findParser) either() (findTest, error) {
	test, err := p.all()
	for err == nil && p.next("-o", "-or") {
		var other findTest
		first := test
		other, err = p.all()
		test = func(name string, info fs.FileInfo) (bool, error) {
			if passes, err := first(name, info); err != nil || passes {
				return passes, err
			}
			return other(name, info)
		}
	}
	return test, err
}

// all reads tests that are joined by -a or by nothing.
func (p *findParser) all() (findTest, error) {
	test, err := p.one()
	for err == nil && len(p.words) > 0 && p.words[0] != "-o" && p.words[0] != "-or" && p.words[0] != ")" {
		p.next("-a", "-and")
		var other findTest
		if other, err = p.one(); err == nil {
			test = both(test, other)
		}
	}
	return test, err
}

// next takes the next word when it is one of these.
func (p *findParser) next(words ...string) bool {
	for _, w := range words {
		if len(p.words) > 0 && p.words[0] == w {
			p.words = p.words[1:]
			return true
		}
	}
	return false
}

// one reads a test, an action, a group or the opposite of one.
func (p *findParser) one() (findTest, error) {
	not := false
	for p.next("!", "-not") {
		not = !not
	}
	var test findTest
	var err error
	switch {
	case len(p.words) == 0:
		return nil, errors.New("the expression ends where a test is wanted")
	case p.next("("):
		if p.depth++; p.depth > maxBrackets {
			return nil, fmt.Errorf("more than %d brackets in each other", maxBrackets)
		}
		if test, err = p.either(); err == nil && !p.next(")") {
			err = errors.New("a ( is not closed")
		}
		p.depth--
	default:
		word := p.words[0]
		p.words = p.words[1:]
		test, err = p.primary(word)
	}
	if err != nil || !not {
		return test, err
	}
	return func(name string, info fs.FileInfo) (bool, error) {
		passes, err := test(name, info)
		return !passes, err
	}, nil
}

func (p *findParser) primary(word string) (findTest, error) {
	always := func(string, fs.FileInfo) (bool, error) { return true, nil }
	switch word {
	case "-xdev", "-mount":
		p.oneDevice = true
		return always, nil
	case "-print", "-print0", "-ls", "-exec":
		p.acts = true
		switch word {
		case "-print":
			return p.print("\n"), nil
		case "-print0":
			return p.print("\x00"), nil
		case "-ls":
			return p.list, nil
		}
		return p.exec()
	case "-maxdepth", "-mindepth", "-name", "-iname", "-path", "-type", "-perm", "-newer", "-size", "-mtime", "-mmin":
	default:
		return nil, fmt.Errorf("%.40q is not known here", word)
	}
	if len(p.words) == 0 {
		return nil, fmt.Errorf("%s needs a value", word)
	}
	v := p.words[0]
	p.words = p.words[1:]
	switch word {
	case "-maxdepth", "-mindepth":
		n, err := strconv.ParseUint(v, 10, 30)
		if err != nil {
			return nil, fmt.Errorf("%s %.40q is not a number", word, v)
		}
		if word == "-maxdepth" {
			p.most = int(n)
		} else {
			p.least = int(n)
		}
		return always, nil
	case "-newer":
		return p.newer(v)
	}
	holds, err := testOf(word, v, time.Now())
	return func(name string, info fs.FileInfo) (bool, error) { return holds(name, info), nil }, err
}

// testOf reads a test that looks at one file alone.
func testOf(word, v string, now time.Time) (func(string, fs.FileInfo) bool, error) {
	switch word {
	case "-name", "-iname", "-path":
		re, err := compileGlob(v, word == "-iname")
		if err != nil {
			return nil, fmt.Errorf("%s %.40q is not a pattern", word, v)
		}
		return func(name string, _ fs.FileInfo) bool {
			if word != "-path" {
				name = path.Base(name)
			}
			return re.MatchString(name)
		}, nil
	case "-type":
		is, found := fileTypes()[v]
		if !found {
			return nil, fmt.Errorf("-type %.40q is unknown; use f, d, l, p, s, c or b", v)
		}
		return func(_ string, info fs.FileInfo) bool { return is(info.Mode()) }, nil
	case "-perm":
		return testPermissions(v)
	}
	return testNumber(word, v, now)
}

func fileTypes() map[string]func(fs.FileMode) bool {
	return map[string]func(fs.FileMode) bool{
		"f": fs.FileMode.IsRegular, "d": fs.FileMode.IsDir,
		"l": func(m fs.FileMode) bool { return m&fs.ModeSymlink != 0 },
		"p": func(m fs.FileMode) bool { return m&fs.ModeNamedPipe != 0 },
		"s": func(m fs.FileMode) bool { return m&fs.ModeSocket != 0 },
		"c": func(m fs.FileMode) bool { return m&fs.ModeCharDevice != 0 },
		"b": func(m fs.FileMode) bool { return m&fs.ModeDevice != 0 && m&fs.ModeCharDevice == 0 },
	}
}

// testPermissions reads octal permissions: exactly these, with - all of them, with / any.
func testPermissions(v string) (func(string, fs.FileInfo) bool, error) {
	text := strings.TrimPrefix(strings.TrimPrefix(v, "-"), "/")
	bits, err := strconv.ParseUint(text, 8, 12)
	if err != nil || len(v)-len(text) > 1 {
		return nil, fmt.Errorf("-perm %.40q is not octal", v)
	}
	return func(_ string, info fs.FileInfo) bool {
		have := hostfs.Permissions(info.Mode())
		switch v[0] {
		case '-':
			return have&bits == bits
		case '/':
			return have&bits != 0 || bits == 0
		}
		return have == bits
	}, nil
}

// testNumber reads a number that a + or - makes a bound. Sizes are rounded up and days
// down to whole units; minutes are not.
func testNumber(word, v string, now time.Time) (func(string, fs.FileInfo) bool, error) {
	unit := map[string]int64{"-size": 512, "-mtime": int64(24 * time.Hour), "-mmin": int64(time.Minute)}[word]
	text := strings.TrimPrefix(strings.TrimPrefix(v, "+"), "-")
	digits := text
	if word == "-size" && text != "" {
		if u, found := map[byte]int64{'c': 1, 'w': 2, 'k': 1 << 10, 'M': 1 << 20, 'G': 1 << 30, 'b': 512}[text[len(text)-1]]; found {
			unit, digits = u, text[:len(text)-1]
		}
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || n < 0 || len(v)-len(text) > 1 || digits[0] == '+' {
		return nil, fmt.Errorf("%s %.40q is not a number", word, v)
	}
	return func(_ string, info fs.FileInfo) bool {
		have, rest := info.Size()/unit, info.Size()%unit
		if word != "-size" {
			age := int64(now.Sub(info.ModTime()))
			have, rest = age/unit, age%unit
		}
		if word != "-mtime" && rest > 0 {
			have++
		}
		switch v[0] {
		case '+':
			return have > n
		case '-':
			return have < n || word == "-mmin" && have == n && rest > 0
		}
		return have == n
	}, nil
}
