package coreutils

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// compileGlob makes an expression of a pattern as fnmatch(3) takes it without flags: "*"
// and "?" match any character, also "/" and a dot at the beginning.
func compileGlob(pattern string, ignoreCase bool) (*regexp.Regexp, error) {
	var b strings.Builder
	b.WriteString("(?s)")
	if ignoreCase {
		b.WriteString("(?i)")
	}
	b.WriteString(`\A`)
	for pattern != "" {
		r, size := utf8.DecodeRuneInString(pattern)
		text := pattern[:size]
		pattern = pattern[size:]
		switch {
		case r == '*':
			b.WriteString(".*")
		case r == '?':
			b.WriteByte('.')
		case r == '[':
			class, rest, ok := globClass(pattern)
			if !ok { // a bracket that is not closed is itself
				b.WriteString(`\[`)
				continue
			}
			b.WriteString(class)
			pattern = rest
		case r == '\\' && pattern != "":
			_, size = utf8.DecodeRuneInString(pattern)
			b.WriteString(literal(pattern[:size]))
			pattern = pattern[size:]
		default:
			b.WriteString(literal(text))
		}
	}
	b.WriteString(`\z`)
	return regexp.Compile(b.String())
}

// literal matches itself. A byte that is no UTF-8 reads as U+FFFD in names, too.
func literal(text string) string { return regexp.QuoteMeta(strings.ToValidUTF8(text, "\uFFFD")) }

// globClass reads a bracket expression after its "[".
func globClass(text string) (class, rest string, ok bool) {
	var b strings.Builder
	b.WriteByte('[')
	if text != "" && (text[0] == '!' || text[0] == '^') {
		b.WriteByte('^')
		text = text[1:]
	}
	for first := true; text != ""; first = false {
		switch {
		case text[0] == ']' && !first:
			b.WriteByte(']')
			return b.String(), text[1:], true
		case strings.HasPrefix(text, "[:"):
			end := strings.Index(text, ":]")
			if end < 0 {
				return "", "", false
			}
			b.WriteString(text[:end+2]) // RE2 has the same names
			text = text[end+2:]
		case text[0] == '-':
			if !first && len(text) > 1 && text[1] != ']' {
				b.WriteByte('-') // of a range
			} else {
				b.WriteString(`\-`)
			}
			text = text[1:]
		default:
			if text[0] == '\\' && len(text) > 1 {
				text = text[1:]
			}
			_, size := utf8.DecodeRuneInString(text)
			b.WriteString(literal(text[:size]))
			text = text[size:]
		}
	}
	return "", "", false
}
