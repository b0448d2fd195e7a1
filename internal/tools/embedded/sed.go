package embedded

import (
	"bufio"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// sed edits lines with the commands s, d, p and q, each with none, one or two addresses
// (a line number, $ or /expression/). Expressions are RE2's; & and \1 to \9 stand for
// what matched.
func sed(c *call) error {
	var quiet, extended bool
	var scripts []string
	err := c.parse(func(f *pflag.FlagSet) {
		f.BoolVarP(&quiet, "quiet", "n", false, "")
		f.BoolVarP(&extended, "regexp-extended", "E", false, "")
		f.StringArrayVarP(&scripts, "expression", "e", nil, "")
	}, 0, -1)
	if err != nil {
		return err
	}
	if len(scripts) == 0 {
		if len(c.args) == 0 {
			return usage{errors.New("give a script such as s/a/b/")}
		}
		scripts, c.args = c.args[:1], c.args[1:]
	}
	var edits []*edit
	for _, script := range scripts {
		more, err := parseEdits(script)
		if err != nil {
			return usage{err}
		}
		edits = append(edits, more...)
	}
	return c.buffered(func(w *bufio.Writer) error {
		// One line is held back to know which is the last.
		number, held, line := 0, false, ""
		emit := func(last bool) error {
			number++
			return editLine(w, edits, line, number, last, quiet)
		}
		err := c.lines(c.args, func(_, next string) error {
			if held {
				if err := emit(false); err != nil {
					return err
				}
			}
			line, held = next, true
			return nil
		})
		if err == nil && held {
			err = emit(true)
		}
		if errors.Is(err, errQuit) {
			return nil
		}
		return err
	})
}

var errQuit = errors.New("quit")

type edit struct {
	from, to    *address
	not, active bool
	command     byte
	re          *regexp.Regexp
	replacement string
	nth         int // 0 is all
	print       bool
}

type address struct {
	line int // 0 with an expression; -1 is the last
	re   *regexp.Regexp
}

func (a *address) matches(line string, number int, last bool) bool {
	switch {
	case a.re != nil:
		return a.re.MatchString(line)
	case a.line < 0:
		return last
	}
	return a.line == number
}

func (e *edit) applies(line string, number int, last bool) bool {
	in := false
	switch {
	case e.from == nil:
		in = true
	case e.to == nil:
		in = e.from.matches(line, number, last)
	case e.active:
		in = true
		e.active = !e.to.matches(line, number, last)
	case e.from.matches(line, number, last):
		in = true
		e.active = e.to.line <= 0 || e.to.line > number
	}
	return in != e.not
}

func editLine(w *bufio.Writer, edits []*edit, line string, number int, last, quiet bool) error {
	quit := false
	for _, e := range edits {
		if !e.applies(line, number, last) {
			continue
		}
		switch e.command {
		case 'd':
			return nil
		case 'p':
			_, _ = fmt.Fprintln(w, line) // an error sticks
		case 'q':
			quit = true
		case 's':
			changed, done := e.substitute(line)
			if line = changed; done && e.print {
				_, _ = fmt.Fprintln(w, line)
			}
		}
	}
	if !quiet {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	if quit {
		return errQuit
	}
	return nil
}

func (e *edit) substitute(line string) (string, bool) {
	var b strings.Builder
	at, seen, done := 0, 0, false
	for _, m := range e.re.FindAllStringSubmatchIndex(line, -1) {
		if seen++; e.nth != 0 && seen != e.nth {
			continue
		}
		b.WriteString(line[at:m[0]])
		b.Write(e.re.ExpandString(nil, e.replacement, line, m))
		at, done = m[1], true
	}
	b.WriteString(line[at:])
	return b.String(), done
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
		if e.from != nil && strings.HasPrefix(text, ",") {
			if e.to, text, err = parseAddress(text[1:]); err != nil || e.to == nil {
				return nil, errors.Join(errors.New("no address after ,"), err)
			}
		}
		if text = strings.TrimLeft(text, " "); strings.HasPrefix(text, "!") {
			e.not, text = true, text[1:]
		}
		if text == "" {
			return nil, errors.New("no command after the address")
		}
		e.command, text = text[0], text[1:]
		switch e.command {
		case 'd', 'p', 'q':
		case 's':
			if text, err = e.parseSubstitute(text); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("command %q is not known here; s, d, p and q are", string(e.command))
		}
		if text != "" && !strings.ContainsAny(text[:1], " ;\n") {
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
		re, err := regexp.Compile(expression)
		return &address{re: re}, rest, err
	}
	digits := strings.TrimLeft(text, "0123456789")
	if n := len(text) - len(digits); n > 0 {
		line, err := strconv.Atoi(text[:n])
		if err != nil || line < 1 {
			return nil, "", fmt.Errorf("%.20q is not a line number", text[:n])
		}
		return &address{line: line}, digits, nil
	}
	return nil, text, nil
}

func (e *edit) parseSubstitute(text string) (rest string, err error) {
	if text == "" || text[0] == '\\' || text[0] == '\n' {
		return "", errors.New("s has no delimiter")
	}
	delimiter := text[0]
	expression, text, ok1 := untilDelimiter(text[1:], delimiter)
	replacement, text, ok2 := untilDelimiter(text, delimiter)
	if !ok1 || !ok2 {
		return "", fmt.Errorf("s is not ended by %q", string(delimiter))
	}
	e.nth = 1
	for ; text != "" && strings.IndexByte("gpiI0123456789", text[0]) >= 0; text = text[1:] {
		switch flag := text[0]; flag {
		case 'g':
			e.nth = 0
		case 'p':
			e.print = true
		case 'i', 'I':
			expression = "(?i)" + expression
		default:
			e.nth = int(flag - '0')
		}
	}
	e.replacement = goReplacement(replacement)
	e.re, err = regexp.Compile(expression)
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

// goReplacement writes a replacement as package regexp wants it.
func goReplacement(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch ch := text[i]; {
		case ch == '$':
			b.WriteString("$$")
		case ch == '&':
			b.WriteString("${0}")
		case ch == '\\' && i+1 < len(text):
			i++
			switch next := text[i]; {
			case next >= '1' && next <= '9':
				b.WriteString("${" + string(next) + "}")
			case next == 'n':
				b.WriteByte('\n')
			case next == 't':
				b.WriteByte('\t')
			default:
				b.WriteByte(next)
			}
		default:
			b.WriteByte(ch)
		}
	}
	return b.String()
}
