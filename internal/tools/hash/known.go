package hash

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"webjob.dev/webjob"
)

// Known is a large set of digests of one kind: a file with one digest in hex a line, in
// lower case, sorted and without repetition, as sort -u makes it. What follows a digest
// on its line is a remark. Memory does not grow with the set.
type Known struct {
	file   *os.File
	size   int64
	length int // of a digest, hexadecimal digits
}

// OpenKnown opens a set and reads it once to see that it is sorted. The caller closes it.
func OpenKnown(name string) (*Known, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	k := &Known{file: f}
	if err := k.check(); err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%s: %w", name, errors.Join(err, f.Close()))
	}
	return k, nil
}

func (k *Known) check() error {
	lines := bufio.NewScanner(k.file)
	lines.Buffer(nil, maxKnownLine)
	before := ""
	for n := 1; lines.Scan(); n++ {
		digest, _, _ := strings.Cut(lines.Text(), " ")
		if k.length == 0 {
			k.length = len(digest)
		}
		switch {
		case len(digest) != k.length || k.length == 0 || strings.Trim(digest, "0123456789abcdef") != "":
			return fmt.Errorf("line %d is not a digest of %d hexadecimal digits in lower case", n, k.length)
		case digest <= before:
			return fmt.Errorf("line %d is not sorted after the one before; make the set with LC_ALL=C sort -u", n)
		}
		before = strings.Clone(digest)
	}
	info, err := k.file.Stat()
	if err := errors.Join(lines.Err(), err); err != nil {
		return err
	}
	if k.size = info.Size(); k.length == 0 {
		return errors.New("the set is empty")
	}
	return nil
}

// maxKnownLine bounds a line of a set, in bytes.
const maxKnownLine = 4 << 10

// Algorithm returns the kind of digest that the set has, by its length.
func (k *Known) Algorithm() (string, error) {
	for name, maker := range makers {
		if name != "blake3" && 2*maker().Size() == k.length {
			return name, nil
		}
	}
	return "", webjob.Errorf(webjob.Invalid, "digests of %d hexadecimal digits are of no kind that is known", k.length)
}

// Find returns the remark of a digest, and whether the set has it. It takes some thirty
// reads for a gigabyte.
func (k *Known) Find(digest string) (remark string, found bool, err error) {
	buffer := make([]byte, 2*maxKnownLine)
	low, high := int64(0), k.size // the first line that is not before digest begins at low at least
	for low < high {
		middle := low + (high-low)/2
		have, _, err := k.lineAt(middle, buffer)
		if err != nil {
			return "", false, err
		}
		if have != "" && have < digest {
			low = middle + 1
		} else {
			high = middle
		}
	}
	have, remark, err := k.lineAt(low, buffer)
	return remark, err == nil && have == digest, err
}

// lineAt returns what the first line that begins at or after at says; nothing when there
// is none.
func (k *Known) lineAt(at int64, buffer []byte) (digest, remark string, err error) {
	n, err := k.file.ReadAt(buffer, max(at-1, 0))
	if err != nil && !errors.Is(err, io.EOF) {
		return "", "", err
	}
	text := string(buffer[:n])
	if at > 0 {
		_, text, _ = strings.Cut(text, "\n")
	}
	line, _, _ := strings.Cut(text, "\n")
	digest, remark, _ = strings.Cut(line, " ")
	return digest, strings.TrimSpace(remark), nil
}

// Close closes the file.
func (k *Known) Close() error { return k.file.Close() }
