package embedded

import (
	"bufio"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// tr maps, deletes or squeezes characters.
func tr(c *call) error {
	var remove, squeeze, complement bool
	err := c.parse(func(f *pflag.FlagSet) {
		f.BoolVarP(&remove, "delete", "d", false, "")
		f.BoolVarP(&squeeze, "squeeze-repeats", "s", false, "")
		f.BoolVarP(&complement, "complement", "c", false, "")
	}, 1, 2)
	if err != nil {
		return err
	}
	from := characterSet(c.args[0])
	var to []rune
	if len(c.args) == 2 {
		to = characterSet(c.args[1])
	}
	if !remove && !squeeze && len(to) == 0 {
		return usage{errors.New("give two sets, or -d or -s")}
	}
	last := rune(-1)
	change := func(r rune) (rune, bool) {
		i := slices.Index(from, r)
		in := i >= 0 != complement
		switch {
		case in && remove:
			return 0, false
		case in && len(to) > 0 && complement:
			r = to[len(to)-1]
		case in && len(to) > 0:
			r = to[min(i, len(to)-1)]
		}
		if squeeze && in && r == last {
			return 0, false
		}
		last = r
		return r, true
	}
	return c.buffered(func(w *bufio.Writer) error {
		reader := bufio.NewReader(c.in)
		for {
			r, size, err := reader.ReadRune()
			if err != nil {
				return endIsFine(err)
			}
			if r == '\uFFFD' && size == 1 { // not UTF-8: as it is
				if err := reader.UnreadRune(); err != nil {
					return err
				}
				b, err := reader.ReadByte()
				if err == nil {
					err = w.WriteByte(b)
				}
				if err != nil {
					return err
				}
				continue
			}
			if r, keep := change(r); keep {
				if _, err := w.WriteRune(r); err != nil {
					return err
				}
			}
		}
	})
}

var classes = map[string]string{
	"[:lower:]": "a-z", "[:upper:]": "A-Z", "[:digit:]": "0-9", "[:alpha:]": "A-Za-z", "[:alnum:]": "A-Za-z0-9", "[:space:]": " \t\n\v\f\r", "[:blank:]": " \t",
}

// characterSet expands classes, escapes and ranges.
func characterSet(text string) []rune {
	for class, expanded := range classes {
		text = strings.ReplaceAll(text, class, expanded)
	}
	text = strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\r`, "\r", `\0`, "\x00", `\\`, `\`).Replace(text)
	all := []rune(text)
	var set []rune
	for i := 0; i < len(all); i++ {
		if i+2 < len(all) && all[i+1] == '-' && all[i] <= all[i+2] {
			for r := all[i]; r <= all[i+2]; r++ {
				set = append(set, r)
			}
			i += 2
			continue
		}
		set = append(set, all[i])
	}
	return set
}
