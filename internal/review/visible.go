package review

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Visible returns a line in which nothing is left that a terminal obeys, reorders or does
// not show: such characters stand as ‹U+202E›, bytes that are not UTF-8 as ‹FF›.
func Visible(line string) string {
	line, _ = visible(line)
	return line
}

// maxMarks is how many marks may stand on a letter; more would paint over other lines.
const maxMarks = 3

// visible returns the line and how many characters of it are written otherwise.
func visible(line string) (string, int) {
	var b strings.Builder
	escaped, marks := 0, maxMarks
	for len(line) > 0 {
		r, size := utf8.DecodeRuneInString(line)
		switch {
		case unicode.IsLetter(r):
			marks = 0
		case unicode.IsMark(r):
			marks++
		default:
			marks = maxMarks // on nothing that is no letter
		}
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, "‹%02X›", line[0])
			escaped++
		case r == '\t' || isPlain(r) && (!unicode.IsMark(r) || marks <= maxMarks):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "‹U+%04X›", r)
			escaped++
		}
		line = line[size:]
	}
	return b.String(), escaped
}

// isPlain reports whether a character shows as itself. The quotes that mark what is
// written otherwise do not, so that a text cannot contain a mark.
func isPlain(r rune) bool {
	return unicode.IsPrint(r) && r != '‹' && r != '›' &&
		r != '\u2800' && // a braille cell without dots
		!unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}
