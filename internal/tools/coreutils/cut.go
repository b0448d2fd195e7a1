package coreutils

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// cut prints fields or characters of each line.
func cut(c *call) error {
	fields, byField := c.value("f")
	characters, byCharacter := c.value("c")
	if byField == byCharacter {
		return usageError{errors.New("give -f or -c")}
	}
	wanted, err := parseRanges(fields + characters)
	if err != nil {
		return err
	}
	delimiter, given := c.value("d")
	switch {
	case !given:
		delimiter = "\t"
	case byCharacter:
		return usageError{errors.New("-d goes with -f only")}
	case delimiter == "":
		delimiter = "\x00" // as GNU has it
	}
	separator := delimiter
	if byCharacter {
		separator = ""
	}
	only := c.has("s")
	return c.lines(c.args, func(_, line string) error {
		if byField && !strings.Contains(line, delimiter) {
			if only {
				return nil
			}
			_, err := fmt.Fprintln(c.out, line)
			return err
		}
		kept := make([]string, 0, 16)
		n := 0
		for part := range strings.SplitSeq(line, separator) {
			if n++; wanted(n) {
				kept = append(kept, part)
			}
		}
		_, err := fmt.Fprintln(c.out, strings.Join(kept, separator))
		return err
	})
}

// parseRanges reads a list such as "1,3-5,7-".
func parseRanges(text string) (func(int) bool, error) {
	type span struct{ from, to int }
	var spans []span
	for item := range strings.SplitSeq(strings.NewReplacer(" ", ",", "\t", ",").Replace(text), ",") {
		from, to, isRange := strings.Cut(item, "-")
		s := span{1, 1 << 30}
		var err1, err2 error
		if from != "" {
			s.from, err1 = strconv.Atoi(from)
		}
		if to != "" {
			s.to, err2 = strconv.Atoi(to)
		}
		if !isRange {
			s.to = s.from
		}
		if err1 != nil || err2 != nil || item == "-" || item == "" || s.from < 1 || s.to < s.from {
			return nil, usageError{fmt.Errorf("%.40q is not a list such as 1,3-5", text)}
		}
		spans = append(spans, s)
	}
	return func(n int) bool {
		return slices.ContainsFunc(spans, func(s span) bool { return n >= s.from && n <= s.to })
	}, nil
}
