// Package hash computes and checks digests of files, several kinds in one pass.
package hash

import (
	"crypto/md5"  //nolint:gosec // lists of known files still name these digests
	"crypto/sha1" //nolint:gosec // as above
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	stdhash "hash"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"lukechampine.com/blake3"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/hostfs"
)

var makers = map[string]func() stdhash.Hash{
	"md5": md5.New, "sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New,
	"blake3": func() stdhash.Hash { return blake3.New(32, nil) },
}

// Algorithms returns the names of the kinds of digest, in order.
func Algorithms() []string {
	var names []string
	for name := range makers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Set computes digests of several kinds of what is written to it.
type Set struct {
	hashes []stdhash.Hash
	buffer []byte
}

// New returns a set of these kinds.
func New(algorithms ...string) (*Set, error) {
	s := &Set{buffer: make([]byte, 256<<10)}
	for _, name := range algorithms {
		maker, found := makers[name]
		if !found {
			return nil, webjob.Errorf(webjob.Invalid, "digest %.40q is unknown; use %s", name, strings.Join(Algorithms(), ", "))
		}
		s.hashes = append(s.hashes, maker())
	}
	return s, nil
}

// Sum reads r to its end and returns the digests of it, in hex and in the order of New.
func (s *Set) Sum(r io.Reader) ([]string, int64, error) {
	for _, h := range s.hashes {
		h.Reset()
	}
	var size int64
	for {
		n, err := r.Read(s.buffer)
		size += int64(n)
		for _, h := range s.hashes {
			_, _ = h.Write(s.buffer[:n]) // a hash never fails
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, size, err
		}
	}
	digests := make([]string, len(s.hashes))
	for i, h := range s.hashes {
		digests[i] = hex.EncodeToString(h.Sum(nil))
	}
	return digests, size, nil
}

// SumFile is [Set.Sum] of a regular file, without changing its access time where this
// user may read so. Other files are an error: a pipe might never end.
func (s *Set) SumFile(name string) ([]string, int64, error) {
	f, err := hostfs.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &os.PathError{Op: "read", Path: name, Err: errors.New("not a regular file")}
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	digests, size, err := s.Sum(f)
	return digests, size, errors.Join(err, f.Close())
}

// Line is a line of a list of digests.
type Line struct {
	Algorithm string // "" when only the length of the digest tells
	Digest    string // hex
	Name      string
}

var tagged = regexp.MustCompile(`^([A-Za-z0-9]+) \((.*)\) = ([0-9a-fA-F]+)$`)

// ParseLine reads a line as sha256sum and its relatives write it, plain or with --tag.
func ParseLine(text string) (Line, error) {
	if m := tagged.FindStringSubmatch(text); m != nil {
		l := Line{Algorithm: strings.ToLower(m[1]), Digest: strings.ToLower(m[3]), Name: m[2]}
		if maker, found := makers[l.Algorithm]; found && len(l.Digest) == 2*maker().Size() {
			return l, nil
		}
	}
	digest, name, found := strings.Cut(strings.TrimPrefix(text, `\`), " ")
	_, err := hex.DecodeString(digest)
	if !found || err != nil || len(name) < 2 || name[0] != ' ' && name[0] != '*' || !slices.Contains([]int{32, 40, 64, 128}, len(digest)) {
		return Line{}, webjob.Errorf(webjob.Invalid, "%.80q is not a digest and a name, as sha256sum writes them", text)
	}
	name = name[1:]
	if strings.HasPrefix(text, `\`) {
		name = strings.NewReplacer(`\n`, "\n", `\\`, `\`).Replace(name)
	}
	return Line{Digest: strings.ToLower(digest), Name: name}, nil
}

// Format writes a line: plain for one kind, with its kind for several. Names with line
// ends are escaped as sha256sum does.
func Format(algorithm, digest, name string, tag bool) string {
	escaped := strings.NewReplacer("\n", `\n`, `\`, `\\`).Replace(name)
	mark := ""
	if escaped != name {
		mark = `\`
	}
	if tag {
		return fmt.Sprintf("%s%s (%s) = %s", mark, strings.ToUpper(algorithm), escaped, digest)
	}
	return fmt.Sprintf("%s%s  %s", mark, digest, escaped)
}
