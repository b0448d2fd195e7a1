package coreutils

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// tr maps, deletes or squeezes characters. A byte that is no UTF-8 is a character, too.
func tr(c *call) error {
	remove, squeeze := c.has("d"), c.has("s")
	from, err := newCharacters(c.args[0], c.has("c"))
	if err != nil {
		return usageError{err}
	}
	squeezed := from
	var to []rune
	if len(c.args) == 2 {
		second, err := newCharacters(c.args[1], false)
		if err != nil {
			return usageError{err}
		}
		to, squeezed = second.list, second
	}
	switch {
	case !remove && !squeeze && len(to) == 0:
		return usageError{errors.New("give two sets, or -d or -s")}
	case remove && squeeze != (len(c.args) == 2):
		return usageError{errors.New("-d takes one set, and with -s two")}
	case len(c.args) == 2 && len(to) == 0:
		return usageError{errors.New("the second set is empty")}
	}
	last := rune(-1)
	return eachCharacter(c.in, func(r rune) error {
		if i, in := from.index(r); in {
			if remove {
				return nil
			}
			if len(to) > 0 {
				r = to[min(i, len(to)-1)]
			}
		}
		if squeeze && r == last {
			if _, in := squeezed.index(r); in {
				return nil
			}
		}
		last = r
		return writeCharacter(c.out, r)
	})
}

// rawByte is what stands for a byte that is no UTF-8: none of Unicode.
const rawByte = utf8.MaxRune + 1

func eachCharacter(in io.Reader, use func(rune) error) error {
	reader := bufio.NewReaderSize(in, 64<<10)
	for {
		r, size, err := reader.ReadRune()
		if err != nil {
			return endIsFine(err)
		}
		if r == utf8.RuneError && size == 1 {
			if err := reader.UnreadRune(); err != nil {
				return err
			}
			b, err := reader.ReadByte()
			if err != nil {
				return err
			}
			r = rawByte + rune(b)
		}
		if err := use(r); err != nil {
			return err
		}
	}
}

func writeCharacter(w *bufio.Writer, r rune) error {
	if r >= rawByte {
		return w.WriteByte(byte(r - rawByte))
	}
	_, err := w.WriteRune(r)
	return err
}

// characters are a set of tr, in order.
type characters struct {
	list       []rune
	places     map[rune]int // in list
	complement bool
	sorted     []rune // of a complement
}

func newCharacters(text string, complement bool) (*characters, error) {
	list, err := parseCharacters(text)
	if err != nil {
		return nil, err
	}
	s := &characters{list: list, places: make(map[rune]int, len(list)), complement: complement}
	for i, r := range list {
		s.places[r] = i // of several the last, as in GNU's
	}
	if complement {
		s.sorted = slices.Compact(slices.Sorted(slices.Values(list)))
	}
	return s, nil
}

// index returns the place of a character in the set, and whether it is in.
func (s *characters) index(r rune) (int, bool) {
	i, in := s.places[r]
	if !s.complement {
		return i, in
	}
	before, _ := slices.BinarySearch(s.sorted, r)
	return int(r) - before, !in
}

var classes = map[string]string{
	"lower": "a-z", "upper": "A-Z", "digit": "0-9", "alpha": "A-Za-z", "alnum": "0-9A-Za-z", "space": `\t-\r `, "blank": `\t `,
	"xdigit": "0-9A-Fa-f", "punct": `!-/:-@[-\140{-~`, "cntrl": `\0-\037\177`, "print": " -~", "graph": "!-~",
}

// mostCharacters bounds a set: all of Unicode fits.
const mostCharacters = 2 << 20

// strangeForm returns a form of sets that is not known here, [=c=] or [c*n], when the text
// begins with one.
func strangeForm(text string) string {
	inner, is := strings.CutPrefix(text, "[")
	if !is || inner == "" {
		return ""
	}
	_, size := utf8.DecodeRuneInString(inner)
	if rest, repeats := strings.CutPrefix(inner[size:], "*"); repeats {
		if end := strings.TrimLeft(rest, "0123456789"); strings.HasPrefix(end, "]") {
			return text[:len(text)-len(end)+1]
		}
	}
	if inner, is = strings.CutPrefix(inner, "="); is && inner != "" {
		if _, size = utf8.DecodeRuneInString(inner); strings.HasPrefix(inner[size:], "=]") {
			return text[:2+size+2]
		}
	}
	return ""
}

// parseCharacters expands classes, escapes and ranges.
func parseCharacters(text string) ([]rune, error) {
	var set []rune
	for text != "" {
		if form := strangeForm(text); form != "" {
			return nil, fmt.Errorf("%q is not known here", form)
		}
		if len(set) > mostCharacters {
			return nil, errors.New("a set has more characters than there are")
		}
		if rest, is := strings.CutPrefix(text, "[:"); is {
			if name, rest, closed := strings.Cut(rest, ":]"); closed {
				expanded, known := classes[name]
				if !known {
					return nil, fmt.Errorf("class %.20q is unknown", "[:"+name+":]")
				}
				members, err := parseCharacters(expanded)
				if err != nil {
					return nil, err
				}
				set, text = append(set, members...), rest
				continue
			}
		}
		first, rest := nextCharacter(text)
		text = rest
		if len(rest) < 2 || rest[0] != '-' {
			set = append(set, first)
			continue
		}
		last, rest := nextCharacter(rest[1:])
		if last < first {
			return nil, fmt.Errorf("a range ends before it begins: %.20q", text)
		}
		text = rest
		for r := first; r <= last; r++ {
			if r < rawByte && !utf8.ValidRune(r) {
				continue
			}
			set = append(set, r)
		}
	}
	return set, nil
}

// nextCharacter returns the first character of a text that is not empty, and the rest.
func nextCharacter(text string) (rune, string) {
	r, size := utf8.DecodeRuneInString(text)
	if r == utf8.RuneError && size == 1 {
		return rawByte + rune(text[0]), text[1:]
	}
	if r != '\\' || len(text) == 1 {
		return r, text[size:]
	}
	if i := strings.IndexByte("abfnrtv", text[1]); i >= 0 {
		return rune("\a\b\f\n\r\t\v"[i]), text[2:]
	}
	value, digits := rune(0), 0
	for ; digits < 3 && 1+digits < len(text) && text[1+digits] >= '0' && text[1+digits] <= '7'; digits++ {
		if next := value*8 + rune(text[1+digits]-'0'); next > 0xff {
			break
		} else {
			value = next
		}
	}
	switch {
	case digits == 0:
		return nextCharacterPlain(text[1:])
	case value >= utf8.RuneSelf:
		return rawByte + value, text[1+digits:]
	}
	return value, text[1+digits:]
}

// nextCharacterPlain is nextCharacter after a backslash that means nothing.
func nextCharacterPlain(text string) (rune, string) {
	if text[0] == '\\' {
		return '\\', text[1:]
	}
	return nextCharacter(text)
}
