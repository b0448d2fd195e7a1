package embedded

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"webjob.dev/webjob/internal/hostfs"
)

// find prints what is below folders and passes all tests.
func find(c *call) error {
	var roots []string
	for len(c.args) > 0 && !strings.HasPrefix(c.args[0], "-") && c.args[0] != "!" {
		roots, c.args = append(roots, c.args[0]), c.args[1:]
	}
	if len(roots) == 0 {
		roots = []string{"."}
	}
	f, err := parseFind(c)
	if err != nil {
		return usage{err}
	}
	return c.buffered(func(w *bufio.Writer) error {
		for _, root := range roots {
			err := c.walk(root, func(name string, entry fs.DirEntry, depth int) error {
				info, err := entry.Info()
				if err != nil {
					c.complain(err)
					return nil
				}
				if depth >= f.least && f.passes(name, info) {
					if err := f.act(w, name, info); err != nil {
						return err
					}
				}
				if entry.IsDir() && depth >= f.most {
					return fs.SkipDir
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

type findPlan struct {
	least, most int
	any         [][]func(name string, info fs.FileInfo) bool // of groups of tests one must pass as a whole
	act         func(w *bufio.Writer, name string, info fs.FileInfo) error
}

func (f *findPlan) passes(name string, info fs.FileInfo) bool {
	return slices.ContainsFunc(f.any, func(group []func(string, fs.FileInfo) bool) bool {
		return !slices.ContainsFunc(group, func(test func(string, fs.FileInfo) bool) bool { return !test(name, info) })
	})
}

func parseFind(c *call) (*findPlan, error) {
	f := &findPlan{most: 1 << 30, any: [][]func(string, fs.FileInfo) bool{nil}}
	f.act = func(w *bufio.Writer, name string, _ fs.FileInfo) error { _, err := fmt.Fprintln(w, name); return err }
	args, not := c.args, false
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		value := func() (string, error) {
			if len(args) == 0 {
				return "", fmt.Errorf("%s needs a value", word)
			}
			v := args[0]
			args = args[1:]
			return v, nil
		}
		switch word {
		case "!", "-not":
			not = !not
			continue
		case "-a", "-and", "-xdev", "-mount":
			continue
		case "-o", "-or":
			f.any = append(f.any, nil)
			continue
		case "-print":
			continue
		case "-print0":
			f.act = func(w *bufio.Writer, name string, _ fs.FileInfo) error {
				_, err := w.WriteString(name + "\x00")
				return err
			}
			continue
		case "-ls":
			f.act = func(w *bufio.Writer, name string, info fs.FileInfo) error {
				_, err := fmt.Fprintln(w, longLine(c.path(name), name, info))
				return err
			}
			continue
		case "-exec":
			end := slices.IndexFunc(args, func(s string) bool { return s == ";" || s == "+" })
			if end < 1 {
				return nil, errors.New("-exec is not ended by \\;")
			}
			command := args[:end]
			args = args[end+1:]
			f.act = func(w *bufio.Writer, name string, _ fs.FileInfo) error {
				words := slices.Clone(command)
				for i := range words {
					words[i] = strings.ReplaceAll(words[i], "{}", name)
				}
				if err := w.Flush(); err != nil {
					return err
				}
				if err := c.exec(c.ctx, words); err != nil {
					c.failed = true
					return c.ctx.Err()
				}
				return nil
			}
			continue
		}
		v, err := value()
		if err != nil {
			return nil, err
		}
		if word == "-maxdepth" || word == "-mindepth" {
			n, err := strconv.Atoi(v)
			if err != nil || n < 0 {
				return nil, fmt.Errorf("%s %.40q is not a number", word, v)
			}
			if word == "-maxdepth" {
				f.most = n
			} else {
				f.least = n
			}
			continue
		}
		test, err := findTest(c, word, v)
		if err != nil {
			return nil, err
		}
		if not {
			inner := test
			test, not = func(name string, info fs.FileInfo) bool { return !inner(name, info) }, false
		}
		last := len(f.any) - 1
		f.any[last] = append(f.any[last], test)
	}
	return f, nil
}

func findTest(c *call, word, v string) (func(string, fs.FileInfo) bool, error) {
	now := clock()
	switch word {
	case "-name", "-iname", "-path":
		if _, err := filepath.Match(v, ""); err != nil {
			return nil, fmt.Errorf("%s %.40q: %w", word, v, err)
		}
		return func(name string, _ fs.FileInfo) bool {
			subject, pattern := name, v
			if word != "-path" {
				subject = filepath.Base(name)
			} else {
				subject, pattern = strings.ReplaceAll(subject, "/", "\x01"), strings.ReplaceAll(pattern, "/", "\x01")
			}
			if word == "-iname" {
				subject, pattern = strings.ToLower(subject), strings.ToLower(pattern)
			}
			matched, _ := filepath.Match(pattern, subject) // it was compiled above
			return matched
		}, nil
	case "-type":
		kinds := map[string]func(fs.FileMode) bool{
			"f": fs.FileMode.IsRegular, "d": fs.FileMode.IsDir,
			"l": func(m fs.FileMode) bool { return m&fs.ModeSymlink != 0 },
			"p": func(m fs.FileMode) bool { return m&fs.ModeNamedPipe != 0 },
			"s": func(m fs.FileMode) bool { return m&fs.ModeSocket != 0 },
			"c": func(m fs.FileMode) bool { return m&fs.ModeCharDevice != 0 },
			"b": func(m fs.FileMode) bool { return m&fs.ModeDevice != 0 && m&fs.ModeCharDevice == 0 },
		}
		is, found := kinds[v]
		if !found {
			return nil, fmt.Errorf("-type %.40q is unknown; use f, d, l, p, s, c or b", v)
		}
		return func(_ string, info fs.FileInfo) bool { return is(info.Mode()) }, nil
	case "-perm":
		text := strings.TrimLeft(v, "-/")
		bits, err := strconv.ParseUint(text, 8, 32)
		if err != nil {
			return nil, fmt.Errorf("-perm %.40q is not octal", v)
		}
		return func(_ string, info fs.FileInfo) bool {
			have := hostfs.Permissions(info.Mode())
			switch v[0] {
			case '-':
				return have&bits == bits
			case '/':
				return have&bits != 0
			}
			return have == bits
		}, nil
	case "-newer":
		other, err := os.Stat(c.path(v))
		if err != nil {
			return nil, err
		}
		return func(_ string, info fs.FileInfo) bool { return info.ModTime().After(other.ModTime()) }, nil
	case "-size", "-mtime", "-mmin":
		return findNumber(word, v, now)
	}
	return nil, fmt.Errorf("%.40q is not known here", word)
}

// findNumber reads a number that a + or - makes a bound.
func findNumber(word, v string, now time.Time) (func(string, fs.FileInfo) bool, error) {
	unit := map[string]int64{"-size": 512, "-mtime": int64(24 * time.Hour), "-mmin": int64(time.Minute)}[word]
	text := strings.TrimLeft(v, "+-")
	if word == "-size" && text != "" {
		if u, found := map[byte]int64{'c': 1, 'k': 1 << 10, 'M': 1 << 20, 'G': 1 << 30, 'b': 512}[text[len(text)-1]]; found {
			unit, text = u, text[:len(text)-1]
		}
	}
	n, err := strconv.ParseInt(text, 10, 40)
	if err != nil {
		return nil, fmt.Errorf("%s %.40q is not a number", word, v)
	}
	return func(_ string, info fs.FileInfo) bool {
		have := (info.Size() + unit - 1) / unit
		if word != "-size" {
			have = int64(now.Sub(info.ModTime())) / unit
		}
		switch v[0] {
		case '+':
			return have > n
		case '-':
			return have < n
		}
		return have == n
	}, nil
}
