package coreutils

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// edit is one command of a sed script.
type edit struct {
	from, to    *address
	not, active bool
	command     byte
	re          *regexp.Regexp // nil is the one used last
	replacement []piece
	nth         int // first match to replace
	all, print  bool
}

// address is a line number, -1 for the last, or with 0 an expression.
type address struct {
	line int
	re   *regexp.Regexp // nil is the one used last
}

// piece of a replacement: a group of the match, 0 for all of it, or with -1 a text.
type piece struct {
	group int
	text  string
}

// parseEdits reads commands that are separated by ; or line ends.
func parseEdits(text string) ([]*edit, error) {
	var edits []*edit
	for {
		text = strings.TrimLeft(text, " \t\n;")
		if text == "" {
			return edits, nil
		}
		e := &edit{}
		var err error
		if e.from, text, err = parseAddress(text); err != nil {
			return nil, err
		}
		if rest, ranged := strings.CutPrefix(text, ","); e.from != nil && ranged {
			if e.to, text, err = parseAddress(strings.TrimLeft(rest, " ")); err != nil {
				return nil, err
			}
			if e.to == nil {
				return nil, fmt.Errorf("%.20q after , is not an address", text)
			}
		}
		text = strings.TrimLeft(text, " ")
		for strings.HasPrefix(text, "!") {
			e.not, text = true, strings.TrimLeft(text[1:], " ")
		}
		if text == "" {
			return nil, errors.New("no command after the address")
		}
		e.command, text = text[0], text[1:]
		switch e.command {
		case 'd', 'p':
		case 'q':
			if e.to != nil {
				return nil, errors.New("q takes one address at most")
			}
		case 's':
			if text, err = e.parseSubstitute(text); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("command %q is not known here; s, d, p and q are", string(rune(e.command)))
		}
		if text = strings.TrimLeft(text, " "); text != "" && text[0] != ';' && text[0] != '\n' {
			return nil, fmt.Errorf("%.20q follows a command", text)
		}
		edits = append(edits, e)
	}
}

func parseAddress(text string) (*address, string, error) {
	switch {
	case strings.HasPrefix(text, "$"):
		return &address{line: -1}, text[1:], nil
	case strings.HasPrefix(text, "/"):
		expression, rest, ok := untilDelimiter(text[1:], '/')
		if !ok {
			return nil, "", errors.New("an address without its second /")
		}
		re, err := compile(expression, false)
		return &address{re: re}, rest, err
	}
	digits := strings.TrimLeft(text, "0123456789")
	if n := len(text) - len(digits); n > 0 {
		line, err := strconv.ParseUint(text[:n], 10, 31)
		if err != nil || line < 1 {
			return nil, "", fmt.Errorf("%.20q is not a line number", text[:n])
		}
		return &address{line: int(line)}, digits, nil
	}
	return nil, text, nil
}

// compile compiles an expression; an empty one is nil.
func compile(expression string, ignoreCase bool) (*regexp.Regexp, error) {
	if expression == "" {
		return nil, nil
	}
	if ignoreCase {
		expression = "(?i)" + expression
	}
	return compileExpression(expression)
}

func (e *edit) parseSubstitute(text string) (rest string, err error) {
	if text == "" || text[0] == '\\' || text[0] == '\n' {
		return "", errors.New("s has no delimiter")
	}
	delimiter := text[0]
	expression, text, ok1 := untilDelimiter(text[1:], delimiter)
	replacement, text, ok2 := untilDelimiter(text, delimiter)
	if !ok1 || !ok2 {
		return "", fmt.Errorf("s is not ended by %q", string(rune(delimiter)))
	}
	e.nth = 1
	ignoreCase := false
	for ; text != "" && strings.IndexByte("gpiI0123456789", text[0]) >= 0; text = text[1:] {
		switch text[0] {
		case 'g':
			e.all = true
		case 'p':
			e.print = true
		case 'i', 'I':
			ignoreCase = true
		default:
			n := len(text) - len(strings.TrimLeft(text, "0123456789"))
			nth, err := strconv.ParseUint(text[:n], 10, 31)
			if e.nth = int(nth); err != nil || e.nth < 1 {
				return "", fmt.Errorf("%.20q is not which match to replace", text[:n])
			}
			text = text[n-1:]
		}
	}
	groups := 9 // an empty expression shows only later what it has
	if e.re, err = compile(expression, ignoreCase); e.re != nil {
		groups = e.re.NumSubexp()
	}
	if err != nil {
		return "", err
	}
	e.replacement, err = parseReplacement(replacement, groups)
	return text, err
}

// untilDelimiter returns what comes before the delimiter, which a backslash makes an
// ordinary character.
func untilDelimiter(text string, delimiter byte) (before, after string, found bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == delimiter:
			i++
			b.WriteByte(delimiter)
		case text[i] == '\\' && i+1 < len(text):
			b.WriteString(text[i : i+2])
			i++
		case text[i] == delimiter:
			return b.String(), text[i+1:], true
		default:
			b.WriteByte(text[i])
		}
	}
	return "", "", false
}

// parseReplacement divides a replacement into texts and groups, of which there are so many.
func parseReplacement(text string, groups int) ([]piece, error) {
	var pieces []piece
	var plain strings.Builder
	group := func(n int) {
		pieces = append(pieces, piece{-1, plain.String()}, piece{group: n})
		plain.Reset()
	}
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '&':
			group(0)
		case text[i] != '\\' || i+1 == len(text):
			plain.WriteByte(text[i])
		default:
			i++
			switch next := text[i]; {
			case next >= '0' && next <= '9':
				if int(next-'0') > groups {
					return nil, fmt.Errorf(`\%c is more than the %d groups of the expression`, next, groups)
				}
				group(int(next - '0'))
			case next == 'n':
				plain.WriteByte('\n')
			case next == 't':
				plain.WriteByte('\t')
			case next >= 'a' && next <= 'z' || next >= 'A' && next <= 'Z':
				return nil, fmt.Errorf(`\%c is not known here in a replacement`, next)
			default:
				plain.WriteByte(next)
			}
		}
	}
	return append(pieces, piece{-1, plain.String()}), nil
}
