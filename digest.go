package webjob

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"strings"
)

// Digest names bytes by content: "sha256:" and 64 lower-case hexadecimal digits.
type Digest string

const digestPrefix = "sha256:"

// EmptyDigest is the digest of no bytes at all.
const EmptyDigest Digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// ParseDigest checks the form of s. The error is Invalid.
func ParseDigest(s string) (Digest, error) {
	digits, found := strings.CutPrefix(s, digestPrefix)
	if !found || len(digits) != 2*sha256.Size || strings.Trim(digits, "0123456789abcdef") != "" {
		return "", Errorf(Invalid, "digest %.80q is malformed; it is \"sha256:\" and 64 lower-case hexadecimal digits", s)
	}
	return Digest(s), nil
}

// DigestOf returns the digest of b.
func DigestOf(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest(digestPrefix + hex.EncodeToString(sum[:]))
}

// Hex returns the 64 hexadecimal digits alone.
func (d Digest) Hex() string { return strings.TrimPrefix(string(d), digestPrefix) }

// Short returns the first twelve hexadecimal digits, for tables.
func (d Digest) Short() string { return d.Hex()[:min(12, len(d.Hex()))] }

// Digester computes the digest and the length of all bytes written to it.
type Digester struct {
	hash hash.Hash
	size int64
}

// Clone returns a digester that has seen the same bytes.
func (d *Digester) Clone() *Digester {
	state, err := d.hash.(hash.Cloner).Clone()
	if err != nil {
		panic(err) // SHA-256 of the standard library can always be cloned
	}
	return &Digester{hash: state, size: d.size}
}

// NewDigester returns a Digester that has seen no bytes.
func NewDigester() *Digester { return &Digester{hash: sha256.New()} }

// Write never fails.
func (d *Digester) Write(p []byte) (int, error) {
	d.size += int64(len(p))
	return d.hash.Write(p)
}

// Digest returns the digest of the bytes so far.
func (d *Digester) Digest() Digest {
	return Digest(digestPrefix + hex.EncodeToString(d.hash.Sum(nil)))
}

// Size returns the number of bytes so far.
func (d *Digester) Size() int64 { return d.size }

// DigestReader reads r to its end and returns its digest and length.
func DigestReader(r io.Reader) (Digest, int64, error) {
	d := NewDigester()
	if _, err := io.Copy(d, r); err != nil {
		return "", d.size, err
	}
	return d.Digest(), d.size, nil
}
