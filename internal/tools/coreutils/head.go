package coreutils

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// head prints the first lines, or bytes.
func head(c *call) error { return c.part(takeFirst) }

// tail prints the last lines, or bytes; "+N" from the Nth on.
func tail(c *call) error { return c.part(takeLast) }

// amount is how much of a file is wanted: lines, or bytes when they are not negative.
type amount struct {
	lines, bytes int64
	fromStart    bool
}

// minusNumber takes the old form, -5 as the first argument.
func minusNumber(args []string) []string {
	if len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && strings.Trim(args[0][1:], "0123456789") == "" {
		return append([]string{"-n" + args[0][1:]}, args[1:]...)
	}
	return args
}

func (c *call) part(take func(w io.Writer, r io.Reader, wanted amount) error) error {
	text := "10"
	wanted := amount{bytes: -1}
	number := &wanted.lines
	for _, o := range c.options { // the last one wins
		number, text = &wanted.lines, o.text
		if o.letter == 'c' {
			number = &wanted.bytes
		}
	}
	digits := strings.TrimPrefix(text, "+")
	wanted.fromStart = digits != text
	if c.name == "tail" && !wanted.fromStart {
		digits = strings.TrimPrefix(text, "-") // the usual way to count
	}
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil {
		return usageError{fmt.Errorf("%.40q is not a number of lines or bytes", text)}
	}
	*number = int64(n)
	between := ""
	return c.inputs(c.args, func(name string, r io.Reader) error {
		if len(c.args) > 1 {
			if name == "-" {
				name = "standard input"
			}
			_, _ = fmt.Fprintf(c.out, "%s==> %s <==\n", between, name) // an error sticks
			between = "\n"
		}
		return take(c.out, r, wanted)
	})
}

func takeFirst(w io.Writer, r io.Reader, wanted amount) error {
	if wanted.bytes >= 0 {
		_, err := io.CopyN(w, r, wanted.bytes)
		return endIsFine(err)
	}
	return skipLines(w, bufio.NewReader(r), wanted.lines)
}

// skipLines copies so many lines to w, piece by piece: a line may be longer than memory.
func skipLines(w io.Writer, r *bufio.Reader, lines int64) error {
	for lines > 0 {
		piece, err := r.ReadSlice('\n')
		if _, writeErr := w.Write(piece); writeErr != nil {
			return writeErr
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil:
			return endIsFine(err)
		default:
			lines--
		}
	}
	return nil
}

func takeLast(w io.Writer, r io.Reader, wanted amount) error {
	reader := bufio.NewReaderSize(r, 64<<10)
	var err error
	switch {
	case wanted.fromStart && wanted.bytes >= 0:
		_, err = io.CopyN(io.Discard, reader, max(wanted.bytes-1, 0))
	case wanted.fromStart:
		err = skipLines(io.Discard, reader, max(wanted.lines-1, 0))
	case wanted.bytes >= 0:
		return lastBytes(w, reader, int(wanted.bytes))
	default:
		return lastLines(w, reader, int(wanted.lines))
	}
	if err != nil {
		return endIsFine(err)
	}
	_, err = io.Copy(w, reader)
	return err
}

func lastBytes(w io.Writer, r io.Reader, n int) error {
	var last []byte
	buffer := make([]byte, 32<<10)
	for {
		read, err := r.Read(buffer)
		last = append(last, buffer[:read]...)
		if len(last) > 2*n+len(buffer) || err != nil { // seldom, so that it stays linear
			last = append(last[:0], last[max(0, len(last)-n):]...)
		}
		if err != nil {
			_, writeErr := w.Write(last)
			return errors.Join(endIsFine(err), writeErr)
		}
	}
}

func lastLines(w io.Writer, r *bufio.Reader, n int) error {
	var ring []string // full, the oldest is at next
	next := 0
	for {
		line, err := readLine(r)
		switch {
		case line == "" || n == 0:
		case len(ring) < n:
			ring = append(ring, line)
		default:
			ring[next] = line
			next = (next + 1) % n
		}
		if err == nil {
			continue
		}
		if err = endIsFine(err); err != nil {
			return err
		}
		for i := range ring {
			if _, err := io.WriteString(w, ring[(next+i)%len(ring)]); err != nil {
				return err
			}
		}
		return nil
	}
}
