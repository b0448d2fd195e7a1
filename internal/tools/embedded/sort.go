package embedded

import (
	"bufio"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// sortLines sorts all lines together, in memory.
func sortLines(c *call) error {
	var numeric, reverse, unique, ignore bool
	var key int
	var separator string
	err := c.parse(func(f *pflag.FlagSet) {
		f.BoolVarP(&numeric, "numeric-sort", "n", false, "")
		f.BoolVarP(&reverse, "reverse", "r", false, "")
		f.BoolVarP(&unique, "unique", "u", false, "")
		f.BoolVarP(&ignore, "ignore-case", "f", false, "")
		f.IntVarP(&key, "key", "k", 0, "")
		f.StringVarP(&separator, "field-separator", "t", "", "")
	}, 0, -1)
	if err != nil {
		return err
	}
	var all []string
	if err := c.lines(c.args, func(_, line string) error { all = append(all, line); return nil }); err != nil {
		return err
	}
	of := func(line string) string {
		if key > 0 {
			line = field(line, separator, key)
		}
		if ignore {
			line = strings.ToUpper(line)
		}
		return line
	}
	compare := func(a, b string) int {
		x, y := of(a), of(b)
		order := strings.Compare(x, y)
		if numeric {
			m, n := leadingNumber(x), leadingNumber(y)
			switch {
			case m < n:
				order = -1
			case m > n:
				order = 1
			default:
				order = 0
			}
		}
		if order == 0 && !unique {
			order = strings.Compare(a, b)
		}
		if reverse {
			return -order
		}
		return order
	}
	slices.SortStableFunc(all, compare)
	if unique {
		all = slices.CompactFunc(all, func(a, b string) bool { return compare(a, b) == 0 })
	}
	return c.buffered(func(w *bufio.Writer) error {
		for _, line := range all {
			if _, err := fmt.Fprintln(w, line); err != nil {
				return err
			}
		}
		return nil
	})
}

// field returns the nth field, counted from one; "" when there are fewer.
func field(line, separator string, n int) string {
	fields := strings.Fields(line)
	if separator != "" {
		fields = strings.Split(line, separator)
	}
	if n < 1 || n > len(fields) {
		return ""
	}
	return fields[n-1]
}

var number = regexp.MustCompile(`^\s*[-+]?[0-9]*\.?[0-9]*`)

func leadingNumber(s string) float64 {
	n, err := strconv.ParseFloat(strings.TrimSpace(number.FindString(s)), 64)
	if err != nil {
		return 0
	}
	return n
}
