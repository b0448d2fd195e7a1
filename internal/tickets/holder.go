package tickets

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// File is where a client keeps its place on a line. What was written is durable, also
// for a power cut, once Sync returns; before that any part of it may be lost.
type File interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
}

// Holder is the client's half. Step and Keep are one exchange: one process at a time
// does both, and no other may begin before the first has seen the answer, or has given
// up on it, or has died. Shown may be asked at any time, beside them.
type Holder struct{ File File }

// The file has two slots, each in a sector of its own, which are written in turns: the
// one that a crash spoils is never the one that counted before.
const (
	slots     = 2
	slotBytes = 512
	sumBytes  = 8
)

// place is where a client is: the newest ticket that it has, "" for none, and the value
// of the one to follow. Once a step was taken from a place, no other step ever leaves it.
type place struct {
	sequence uint64 // counts the places of a file; 0: there is none
	ticket   string
	next     value
}

// Step returns what the next request shows: the newest ticket, and the value of the one
// to follow. Both are durable when it returns. Without an answer it is the same again.
func (h Holder) Step() (string, error) {
	p, err := h.read()
	if err == nil && p.sequence == 0 {
		p = place{sequence: 1, next: newValue()}
		err = h.write(p)
	}
	if err == nil {
		err = h.File.Sync()
	}
	if err != nil {
		return "", fmt.Errorf("step: %w", err)
	}
	return p.ticket + stepMark + encoding.EncodeToString(p.next[:]), nil
}

// Keep takes the ticket that was given for the step. Any other is left alone: of no
// ticket may there be two that follow. It need not be durable: who loses it takes the
// same step again.
func (h Holder) Keep(text string) error {
	given, ok := valueOf(text)
	if !ok {
		return nil // a server of the version before
	}
	p, err := h.read()
	if err != nil {
		return fmt.Errorf("keep: %w", err)
	}
	if p.sequence == 0 || given != p.next {
		return nil
	}
	if err := h.write(place{sequence: p.sequence + 1, ticket: text, next: newValue()}); err != nil {
		return fmt.Errorf("keep: %w", err)
	}
	return nil
}

// Shown returns the newest ticket, "" when there is none: what requests show that take
// no step.
func (h Holder) Shown() (string, error) {
	p, err := h.read()
	if err != nil {
		return "", fmt.Errorf("show: %w", err)
	}
	return p.ticket, nil
}

// read returns the newest place that is whole.
func (h Holder) read() (newest place, err error) {
	content := make([]byte, slots*slotBytes)
	n, err := h.File.ReadAt(content, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return place{}, err
	}
	for slot := range slots {
		start, end := slot*slotBytes, (slot+1)*slotBytes
		if start >= n {
			break
		}
		if p, ok := parsePlace(content[start:min(end, n)]); ok && p.sequence > newest.sequence {
			newest = p
		}
	}
	return newest, nil
}

func (h Holder) write(p place) error {
	_, err := h.File.WriteAt(p.encode(), int64(p.sequence%slots)*slotBytes)
	return err
}

// encode makes one line: sequence, ticket, value and the sum of these, filled up with spaces.
func (p place) encode() []byte {
	body := fmt.Sprintf("%d %s%s%s", p.sequence, p.ticket, stepMark, encoding.EncodeToString(p.next[:]))
	return fmt.Appendf(nil, "%-*s\n", slotBytes-1, body+" "+sum(body))
}

func sum(body string) string {
	s := sha256.Sum256([]byte(body))
	return hex.EncodeToString(s[:sumBytes])
}

// parsePlace reads a slot. One that is not whole is none.
func parsePlace(slot []byte) (p place, ok bool) {
	line, _, found := bytes.Cut(slot, []byte("\n"))
	fields := bytes.Fields(line)
	if !found || len(fields) != 3 {
		return p, false
	}
	body := string(fields[0]) + " " + string(fields[1])
	if sum(body) != string(fields[2]) {
		return p, false
	}
	var step bool
	p.ticket, p.next, step = parseStep(string(fields[1]))
	_, err := fmt.Sscanf(string(fields[0]), "%d", &p.sequence)
	return p, step && err == nil
}
