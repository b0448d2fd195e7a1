package review

import (
	"strings"
	"unicode/utf8"
)

// carriedOn begins the rest of a line that was folded. No text can contain it: see isPlain.
const carriedOn = "  › "

// minWidth is the width below which nothing is folded, in columns.
const minWidth = 20

// Fold breaks lines so that a terminal of so many columns does not break them itself: the
// rest would begin where only lines of ours do. Width 0 leaves them as they are.
func Fold(lines []string, width int) []string {
	if width < minWidth {
		return lines
	}
	var folded []string
	for _, line := range lines {
		for used, at := 0, 0; at < len(line); {
			r, size := utf8.DecodeRuneInString(line[at:])
			columns := columnsOf(r)
			if used+columns > width {
				folded = append(folded, line[:at])
				line, used, at = carriedOn+line[at:], 0, 0
				continue
			}
			used, at = used+columns, at+size
		}
		folded = append(folded, line)
	}
	return folded
}

// columnsOf returns how many columns a character takes at most.
func columnsOf(r rune) int {
	switch {
	case r == '\t':
		return 8
	case r < utf8.RuneSelf || strings.ContainsRune("‹›", r):
		return 1
	}
	return 2
}
