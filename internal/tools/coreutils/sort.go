package coreutils

import (
	"fmt"
	"slices"
	"strings"
)

// sortLines sorts all lines together, in memory.
func sortLines(c *call) error {
	separator, given := c.value("t")
	if given && separator == "" {
		return usageError{fmt.Errorf("-t is empty; give the character between fields")}
	}
	all := order{numeric: c.has("n"), reverse: c.has("r"), fold: c.has("f")}
	var keys []sortKey
	for _, text := range c.values("k") {
		key, err := parseKey(text, all)
		if err != nil {
			return usageError{err}
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		keys = []sortKey{{order: all, whole: true}}
	}
	var lines []string
	if err := c.lines(c.args, func(_, line string) error { lines = append(lines, line); return nil }); err != nil {
		return err
	}
	if c.failed {
		return exit(2) // as POSIX has it: half of the lines, sorted, are of no use
	}
	byKeys := func(a, b string) int {
		for _, k := range keys {
			if n := k.compare(k.of(a, separator), k.of(b, separator)); n != 0 {
				return n
			}
		}
		return 0
	}
	unique := c.has("u")
	slices.SortStableFunc(lines, func(a, b string) int {
		n := byKeys(a, b)
		if n == 0 && !unique {
			if n = strings.Compare(a, b); all.reverse {
				n = -n
			}
		}
		return n
	})
	if unique {
		lines = slices.CompactFunc(lines, func(a, b string) bool { return byKeys(a, b) == 0 })
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(c.out, line); err != nil {
			return err
		}
	}
	return nil
}

// order is how texts are compared.
type order struct{ numeric, reverse, fold bool }

func (o order) compare(a, b string) (n int) {
	switch {
	case o.numeric:
		n = compareNumbers(a, b)
	case o.fold:
		n = compareFolded(a, b)
	default:
		n = strings.Compare(a, b)
	}
	if o.reverse {
		return -n
	}
	return n
}

// compareFolded compares with lower case of ASCII as upper case, byte by byte.
func compareFolded(a, b string) int {
	upper := func(c byte) int {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		return int(c)
	}
	for i := range min(len(a), len(b)) {
		if n := upper(a[i]) - upper(b[i]); n != 0 {
			return n
		}
	}
	return len(a) - len(b)
}

// compareNumbers compares the numbers that texts begin with, of any length. What is not
// a number is 0.
func compareNumbers(a, b string) int {
	x, y := readNumber(a), readNumber(b)
	if x.negative != y.negative {
		if x.negative {
			return -1
		}
		return 1
	}
	n := len(x.whole) - len(y.whole)
	if n == 0 {
		n = strings.Compare(x.whole, y.whole)
	}
	if n == 0 {
		n = strings.Compare(x.fraction, y.fraction)
	}
	if x.negative {
		return -n
	}
	return n
}

type decimal struct {
	negative        bool
	whole, fraction string // without zeros that say nothing
}

func readNumber(text string) decimal {
	text = strings.TrimLeft(text, " \t")
	digits, negative := strings.CutPrefix(text, "-")
	n := len(digits) - len(strings.TrimLeft(digits, "0123456789"))
	d := decimal{whole: strings.TrimLeft(digits[:n], "0")}
	if rest, ok := strings.CutPrefix(digits[n:], "."); ok {
		d.fraction = strings.TrimRight(rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))], "0")
	}
	d.negative = negative && d.whole+d.fraction != "" // -0 is 0
	return d
}
