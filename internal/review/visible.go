package review

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Visible returns a line in which nothing is left that a terminal obeys, reorders or does
// not show: such characters stand as ‹U+202E›, bytes that are not UTF-8 as ‹FF›.
func Visible(line string) string {
	line, _, _ = visible(line, len(line))
	return line
}

// maxMarks is how many marks may stand on a letter; more would paint over other lines.
const maxMarks = 3

// visible returns the line as far as its first most characters, how many of these are
// written otherwise, and how many more characters it has.
func visible(line string, most int) (shown string, escaped, more int) {
	var b strings.Builder
	marks := maxMarks
	for ; len(line) > 0 && most > 0; most-- {
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
			b.WriteString("‹" + hex(uint64(line[0]), 2) + "›")
			escaped++
		case r == '\t' || isPlain(r) && (!unicode.IsMark(r) || marks <= maxMarks):
			b.WriteRune(r)
		default:
			b.WriteString("‹U+" + hex(uint64(r), 4) + "›")
			escaped++
		}
		line = line[size:]
	}
	return b.String(), escaped, utf8.RuneCountInString(line)
}

// hex writes a number with at least so many digits.
func hex(n uint64, digits int) string {
	text := strings.ToUpper(strconv.FormatUint(n, 16))
	return strings.Repeat("0", max(0, digits-len(text))) + text
}

// isPlain reports whether a character shows as itself. The quotes that mark what is
// written otherwise do not, so that a text cannot contain a mark.
func isPlain(r rune) bool {
	return unicode.IsPrint(r) && r != '‹' && r != '›' &&
		r != '\u2800' && // a braille cell without dots
		!unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}
