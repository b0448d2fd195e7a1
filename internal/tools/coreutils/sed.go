package coreutils

import (
	"errors"
	"io"
	"regexp"
	"strings"
)

// sed edits lines with the commands s, d, p and q, each with none, one or two addresses
// (a line number, $ or /expression/). Expressions are RE2's; & and \1 to \9 stand for
// what matched. It ends with 2 when a file could not be read.
func sed(c *call) error {
	scripts := c.values("e")
	if len(scripts) == 0 {
		if len(c.args) == 0 {
			return usageError{errors.New("give a script such as s/a/b/")}
		}
		scripts, c.args = c.args[:1], c.args[1:]
	}
	edits, err := parseEdits(strings.Join(scripts, "\n"))
	if err != nil {
		return usageError{err}
	}
	s := &sedCall{w: c.out, edits: edits, quiet: c.has("n")}
	// One line is held back to know which is the last.
	held, line := false, ""
	err = c.inputs(c.args, func(_ string, r io.Reader) error {
		return eachLine(r, func(next string) error {
			if held {
				if err := s.edit(line, false); err != nil {
					return err
				}
			}
			line, held = next, true
			return nil
		})
	})
	if err == nil && held {
		err = s.edit(line, true)
	}
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err == nil && c.failed {
		return exit(2)
	}
	return err
}

type sedCall struct {
	w      io.Writer
	edits  []*edit
	quiet  bool
	number int            // of the line
	used   *regexp.Regexp // last, which an empty one stands for
	open   bool           // what was printed last has no line end yet
}

// edit runs the script on a line. Its end is only left out of the very last line of all.
func (s *sedCall) edit(line string, last bool) error {
	s.number++
	line, whole := strings.CutSuffix(line, "\n")
	quit := false
	for _, e := range s.edits {
		applies, err := s.applies(e, line, last)
		if err != nil {
			return err
		}
		if !applies {
			continue
		}
		switch e.command {
		case 'd':
			return nil
		case 'p':
			err = s.print(line, whole)
		case 'q':
			quit = true
		case 's':
			line, err = s.substitute(e, line, whole)
		}
		if err != nil {
			return err
		}
		if quit {
			break
		}
	}
	if !s.quiet {
		if err := s.print(line, whole); err != nil {
			return err
		}
	}
	if quit {
		return errEnough
	}
	return nil
}

// print writes a line; the end that the input lacks comes when another line follows.
func (s *sedCall) print(line string, whole bool) error {
	text := line + "\n"
	if !whole {
		text = line
	}
	if s.open {
		text = "\n" + text
	}
	s.open = !whole
	_, err := io.WriteString(s.w, text)
	return err
}

// applies says whether a command is for this line.
func (s *sedCall) applies(e *edit, line string, last bool) (bool, error) {
	in := true
	var err error
	if e.from != nil && !e.active {
		if in, err = s.matches(e.from, line, last); err != nil {
			return false, err
		}
		if in && e.to != nil { // a number that was passed ends with this line
			e.active = e.to.line <= 0 || e.to.line > s.number
		}
		return in != e.not, nil
	}
	if e.active {
		switch {
		case e.to.line > 0 && s.number > e.to.line: // another command hid the end
			e.active = false
			in, err = s.matches(e.from, line, last)
		case e.to.line > 0:
			e.active = s.number < e.to.line
		default:
			end, matchErr := s.matches(e.to, line, last)
			e.active, err = !end, matchErr
		}
	}
	return in != e.not, err
}

func (s *sedCall) matches(a *address, line string, last bool) (bool, error) {
	switch {
	case a.line < 0:
		return last, nil
	case a.line > 0:
		return a.line == s.number, nil
	}
	re, err := s.expression(a.re)
	return err == nil && re.MatchString(line), err
}

// expression returns the one to use: for an empty one that which was used last.
func (s *sedCall) expression(re *regexp.Regexp) (*regexp.Regexp, error) {
	if re != nil {
		s.used = re
	}
	if s.used == nil {
		return nil, usageError{errors.New("an expression is empty, and none was used before it")}
	}
	return s.used, nil
}

func (s *sedCall) substitute(e *edit, line string, whole bool) (string, error) {
	re, err := s.expression(e.re)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	at, seen, done := 0, 0, false
	for _, m := range re.FindAllStringSubmatchIndex(line, -1) {
		if seen++; seen < e.nth || done && !e.all {
			continue
		}
		b.WriteString(line[at:m[0]])
		for _, part := range e.replacement {
			switch {
			case part.group < 0:
				b.WriteString(part.text)
			case 2*part.group+1 < len(m) && m[2*part.group] >= 0:
				b.WriteString(line[m[2*part.group]:m[2*part.group+1]])
			}
		}
		at, done = m[1], true
		if b.Len() > maxLine {
			return "", errors.New("a line became longer than 64 MiB")
		}
	}
	if !done {
		return line, nil
	}
	b.WriteString(line[at:])
	if e.print {
		err = s.print(b.String(), whole)
	}
	return b.String(), err
}
