package embedded

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// grep prints the lines that match.
func grep(c *call) error {
	var ignore, invert, names, noNames, numbers, count, quiet, fixed, list, recursive, word, whole, only, extended bool
	var expressions []string
	err := c.parse(func(f *pflag.FlagSet) {
		f.BoolVarP(&ignore, "ignore-case", "i", false, "")
		f.BoolVarP(&invert, "invert-match", "v", false, "")
		f.BoolVarP(&names, "with-filename", "H", false, "")
		f.BoolVarP(&noNames, "no-filename", "h", false, "")
		f.BoolVarP(&numbers, "line-number", "n", false, "")
		f.BoolVarP(&count, "count", "c", false, "")
		f.BoolVarP(&quiet, "quiet", "q", false, "")
		f.BoolVarP(&fixed, "fixed-strings", "F", false, "")
		f.BoolVarP(&list, "files-with-matches", "l", false, "")
		f.BoolVarP(&recursive, "recursive", "r", false, "")
		f.BoolVarP(&word, "word-regexp", "w", false, "")
		f.BoolVarP(&whole, "line-regexp", "x", false, "")
		f.BoolVarP(&only, "only-matching", "o", false, "")
		f.BoolVarP(&extended, "extended-regexp", "E", false, "")
		f.StringArrayVarP(&expressions, "regexp", "e", nil, "")
	}, 0, -1)
	if err != nil {
		return err
	}
	if len(expressions) == 0 {
		if len(c.args) == 0 {
			return usage{errors.New("name an expression")}
		}
		expressions, c.args = c.args[:1], c.args[1:]
	}
	for i, e := range expressions {
		if fixed {
			e = regexp.QuoteMeta(e)
		}
		if word {
			e = `\b(?:` + e + `)\b`
		}
		if whole {
			e = `\A(?:` + e + `)\z`
		}
		expressions[i] = "(?:" + e + ")"
	}
	pattern := strings.Join(expressions, "|")
	if ignore {
		pattern = "(?i)" + pattern
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return usage{err}
	}
	files := c.args
	if recursive {
		if files, err = c.below(files); err != nil {
			return err
		}
		names = true
	}
	names = (names || len(files) > 1) && !noNames
	matched := false
	err = c.buffered(func(w *bufio.Writer) error {
		for _, file := range fileList(files) {
			number, hits := 0, 0
			err := c.lines([]string{file}, func(_, line string) error {
				number++
				if re.MatchString(line) == invert {
					return nil
				}
				hits++
				matched = true
				switch {
				case quiet || list:
					return io.EOF // enough
				case count:
					return nil
				}
				if names {
					_, _ = fmt.Fprintf(w, "%s:", file) // an error sticks, as below
				}
				if numbers {
					_, _ = fmt.Fprintf(w, "%d:", number)
				}
				if only && !invert {
					found := slices.DeleteFunc(re.FindAllString(line, -1), func(s string) bool { return s == "" })
					if len(found) == 0 {
						return nil
					}
					line = strings.Join(found, "\n")
				}
				_, err := fmt.Fprintln(w, line)
				return err
			})
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			switch {
			case quiet && matched:
				return nil
			case list && hits > 0:
				_, _ = fmt.Fprintln(w, file)
			case count && names:
				_, _ = fmt.Fprintf(w, "%s:%d\n", file, hits)
			case count:
				_, _ = fmt.Fprintln(w, hits)
			}
		}
		return nil
	})
	if err == nil && !matched {
		return exit(1)
	}
	return err
}
