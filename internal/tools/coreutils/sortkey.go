package coreutils

import (
	"fmt"
	"strconv"
	"strings"
)

// sortKey is a part of a line to sort by, from a character of a field to one of another,
// as POSIX describes it for sort -k.
type sortKey struct {
	order
	whole        bool // the whole line
	from, to     keyEnd
	skipFrom     bool // blanks before from do not count, as b says
	skipTo       bool
	toEndOfField bool // to names no character
	toEndOfLine  bool // there is no to
}

type keyEnd struct{ field, character int } // counted from 1

// parseKey reads FIELD[.CHARACTER][OPTIONS][,FIELD[.CHARACTER][OPTIONS]], where options
// are n, r, f and b; without any those of the whole sort hold.
func parseKey(text string, all order) (sortKey, error) {
	wrong := fmt.Errorf("-k %.40q is not a key such as 2, 2,2 or 2.3n,4", text)
	first, second, ranged := strings.Cut(text, ",")
	k := sortKey{toEndOfLine: !ranged}
	var own, letters string
	var ok bool
	if k.from, letters, ok = parseKeyEnd(first); !ok || k.from.character == 0 && strings.Contains(first, ".") {
		return k, wrong
	}
	own, k.skipFrom = letters, strings.Contains(letters, "b")
	k.from.character = max(k.from.character, 1)
	if ranged {
		if k.to, letters, ok = parseKeyEnd(second); !ok {
			return k, wrong
		}
		own, k.skipTo = own+letters, strings.Contains(letters, "b")
		k.toEndOfField = k.to.character == 0
	}
	if k.order = all; own != "" {
		k.order = order{numeric: strings.Contains(own, "n"), reverse: strings.Contains(own, "r"), fold: strings.Contains(own, "f")}
	}
	return k, nil
}

func parseKeyEnd(text string) (end keyEnd, letters string, ok bool) {
	digits := strings.TrimRight(text, "bfnr")
	letters = text[len(digits):]
	field, character, dotted := strings.Cut(digits, ".")
	n, err := strconv.ParseUint(field, 10, 31)
	if err != nil || n == 0 {
		return keyEnd{}, "", false
	}
	end.field = int(n)
	if dotted {
		n, err = strconv.ParseUint(character, 10, 31)
		end.character = int(n)
	}
	return end, letters, err == nil
}

// of returns the part of a line that is the key.
func (k sortKey) of(line, separator string) string {
	if k.whole {
		return line
	}
	start := fieldStart(line, separator, k.from.field-1)
	if k.skipFrom {
		start += leadingBlanks(line[start:])
	}
	start = min(start+k.from.character-1, len(line))
	end := len(line)
	switch {
	case k.toEndOfLine:
	case k.toEndOfField:
		end = fieldEnd(line, separator, k.to.field)
	default:
		end = fieldStart(line, separator, k.to.field-1)
		if k.skipTo {
			end += leadingBlanks(line[end:])
		}
		end = min(end+k.to.character, len(line))
	}
	return line[start:max(start, end)]
}

// fieldStart returns where the field after so many fields begins. Without a separator a
// field begins with the blanks before it.
func fieldStart(line, separator string, fields int) int {
	at := 0
	for ; fields > 0 && at < len(line); fields-- {
		if separator == "" {
			at += fieldLength(line[at:])
			continue
		}
		i := strings.Index(line[at:], separator)
		if i < 0 {
			return len(line)
		}
		at += i + len(separator)
	}
	return at
}

// fieldEnd returns where the nth field ends.
func fieldEnd(line, separator string, n int) int {
	at := fieldStart(line, separator, n-1)
	if separator == "" {
		return at + fieldLength(line[at:])
	}
	if i := strings.Index(line[at:], separator); i >= 0 {
		return at + i
	}
	return len(line)
}

// fieldLength is that of a first field with the blanks before it.
func fieldLength(text string) int {
	blanks := leadingBlanks(text)
	if i := strings.IndexAny(text[blanks:], " \t"); i >= 0 {
		return blanks + i
	}
	return len(text)
}

func leadingBlanks(text string) int { return len(text) - len(strings.TrimLeft(text, " \t")) }
