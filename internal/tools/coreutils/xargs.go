package coreutils

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// xargs runs a command with the words, or with -0 the strings, of its input; on an empty
// input it runs nothing. It ends with 123 when a command failed.
func xargs(c *call) error {
	most := 1000
	if text, given := c.value("n"); given {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil || n < 1 {
			return usageError{fmt.Errorf("-n %.40q must be a number from 1 on", text)}
		}
		most = int(n)
	}
	replace, replacing := c.value("I")
	if replacing && replace == "" {
		return usageError{errors.New("-I is empty; give the text to replace, such as %")}
	}
	next := nextWord
	switch {
	case c.has("0"):
		next = nextString
	case replacing:
		next = nextItem
	}
	command := c.args
	if len(command) == 0 {
		command = []string{"echo"}
	}
	b := &batch{call: c, command: command, most: most}
	reader := bufio.NewReaderSize(c.in, 64<<10)
	for {
		word, found, err := next(reader)
		switch {
		case err != nil:
			return errors.Join(err, b.run())
		case !found:
			if err := b.run(); err != nil {
				return err
			}
			return b.result()
		case !replacing:
			err = b.add(word)
		default:
			words := make([]string, len(command))
			for i := range words {
				words[i] = strings.ReplaceAll(command[i], replace, word)
			}
			err = b.execute(words)
		}
		if err != nil {
			return err
		}
	}
}

// batch collects words for a command until they are many.
type batch struct {
	call    *call
	command []string
	in      io.Reader // of the command; nil is empty
	most    int       // words; 0 for no bound
	words   []string
	size    int
	status  int // the worst
}

// maxBatch bounds the words of one command, in bytes; systems take 128 KiB at least.
const maxBatch = 120 << 10

func (b *batch) add(word string) error {
	if b.size+len(word)+1 > maxBatch && len(b.words) > 0 {
		if err := b.run(); err != nil {
			return err
		}
	}
	b.words, b.size = append(b.words, word), b.size+len(word)+1
	if len(b.words) == b.most {
		return b.run()
	}
	return nil
}

// run runs the command with the words so far, if there are any.
func (b *batch) run() error {
	if len(b.words) == 0 {
		return nil
	}
	words := append(append([]string(nil), b.command...), b.words...)
	b.words, b.size = nil, 0
	return b.execute(words)
}

func (b *batch) execute(words []string) error {
	status, err := b.call.exec(words, b.in)
	b.status = max(b.status, status)
	if err == nil && b.call.name == "xargs" && (status == 255 || status == 127 || status == 126) {
		return b.result()
	}
	return err
}

// result is the status of xargs, as POSIX and GNU have it.
func (b *batch) result() error {
	switch {
	case b.status == 0:
		return nil
	case b.status == 126 || b.status == 127:
		return exit(b.status)
	case b.status == 255:
		b.call.complain(fmt.Errorf("%s ended with status 255, which ends all", b.command[0]))
		return exit(124)
	case b.status > 128:
		return exit(125) // a signal ended it
	}
	return exit(123)
}

// maxWord bounds a word of the input, in bytes.
const maxWord = 16 << 20

var errLongWord = fmt.Errorf("a word has more than %d bytes", maxWord)

// nextString reads until a NUL byte.
func nextString(r *bufio.Reader) (string, bool, error) {
	var b strings.Builder
	for {
		c, err := r.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return b.String(), b.Len() > 0, nil
		case err != nil:
			return "", false, err
		case c == 0:
			return b.String(), true, nil
		case b.Len() == maxWord:
			return "", false, errLongWord
		}
		b.WriteByte(c)
	}
}

// nextWord reads a word; quotes and backslashes are as in POSIX.
func nextWord(r *bufio.Reader) (string, bool, error) { return quotedWord(r, " \t\n") }

// nextItem reads a line as one word, for -I.
func nextItem(r *bufio.Reader) (string, bool, error) { return quotedWord(r, "\n") }

func quotedWord(r *bufio.Reader, ends string) (string, bool, error) {
	var b strings.Builder
	begun, quote := false, byte(0)
	for {
		c, err := r.ReadByte()
		switch {
		case errors.Is(err, io.EOF) && quote == 0:
			return b.String(), begun, nil
		case errors.Is(err, io.EOF) || quote != 0 && c == '\n':
			return "", false, fmt.Errorf("a %c is not closed; use -0 for names that hold one", quote)
		case err != nil:
			return "", false, err
		case b.Len() == maxWord:
			return "", false, errLongWord
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			b.WriteByte(c)
		case c == '\'' || c == '"':
			quote, begun = c, true
		case strings.IndexByte(ends, c) >= 0:
			if begun {
				return b.String(), true, nil
			}
		case !begun && (c == ' ' || c == '\t'): // before an item of -I
		default:
			if c == '\\' {
				if c, err = r.ReadByte(); err != nil {
					return b.String(), begun, endIsFine(err)
				}
			}
			b.WriteByte(c)
			begun = true
		}
	}
}
