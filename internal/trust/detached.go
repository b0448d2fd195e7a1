package trust

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"webjob.dev/webjob"
)

// A detached signature (DSV) is one line of standard base64 in FILE.sig; a line for
// each signer. It is the plain signature of the file's bytes, as the openssl command
// makes and checks it: Ed25519 (RFC 8032), ECDSA on P-256 with SHA-256 in ASN.1, or
// RSA PKCS #1 v1.5 with SHA-256.

// SignatureSuffix is what the name of a signature file has more than that of its file.
const SignatureSuffix = ".sig"

// Bounds of detached signatures.
const (
	MaxSignatureFile = 64 << 10
	maxEd25519File   = 1 << 30 // Ed25519 signs whole files, in memory
	maxCertificates  = 1000
)

// content is a file on its way through a signature: its digest and, for Ed25519, all of
// its bytes.
type content struct {
	file   io.ReadSeeker
	digest []byte
	whole  []byte
}

func (c *content) sum() ([]byte, error) {
	if c.digest != nil {
		return c.digest, nil
	}
	if _, err := c.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	h := sha256.New()
	if _, err := io.Copy(h, c.file); err != nil {
		return nil, err
	}
	c.digest = h.Sum(nil)
	return c.digest, nil
}

func (c *content) all() ([]byte, error) {
	if c.whole != nil {
		return c.whole, nil
	}
	if _, err := c.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	whole, err := io.ReadAll(io.LimitReader(c.file, maxEd25519File+1))
	if err != nil {
		return nil, err
	}
	if len(whole) > maxEd25519File {
		return nil, webjob.Errorf(webjob.TooLarge, "it has more than %d bytes, which Ed25519 would hold in memory; use an ECDSA key", maxEd25519File)
	}
	c.whole = whole
	return whole, nil
}

// SignDetached returns the line that signs a file. What could pass for something else
// that these keys sign is Refused: a metadata file of a job repository, or an order.
func SignDetached(key *PrivateKey, file io.ReadSeeker) (string, error) {
	c := &content{file: file}
	if err := refuseProtocols(file); err != nil {
		return "", err
	}
	var sig []byte
	var err error
	switch key.Type() {
	case HardwareEd25519:
		return "", webjob.Errorf(webjob.Invalid, "a hardware key makes no detached signatures that openssl could check; use another key")
	case Ed25519:
		var whole []byte
		if whole, err = c.all(); err == nil {
			sig, err = key.Sign(context.Background(), whole)
		}
	default:
		var sum []byte
		if sum, err = c.sum(); err == nil {
			sig, err = key.signer.Sign(rand.Reader, sum, crypto.SHA256) // RSA: PKCS #1 v1.5
		}
	}
	if err != nil {
		return "", webjob.Errorf(webjob.Invalid, "sign: %w", err)
	}
	return base64.StdEncoding.EncodeToString(sig), nil
}

// refuseProtocols keeps a signature of a file from being one of another kind.
func refuseProtocols(file io.ReadSeeker) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	start := make([]byte, 64<<10)
	n, err := io.ReadFull(file, start)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	text := strings.TrimSpace(string(start[:n]))
	if strings.HasPrefix(text, "DSSEv1 ") || strings.HasPrefix(text, "{") && strings.Contains(text, `"_type"`) && strings.Contains(text, `"spec_version"`) {
		return webjob.Errorf(webjob.Refused, "it has the form of an order or of a job repository's metadata; a signature of it would count as one of these")
	}
	return nil
}

// checks reports whether sig is the key's signature of the content.
func (p *PublicKey) checks(c *content, sig []byte) (bool, error) {
	if key, ok := p.key.(ed25519.PublicKey); ok {
		whole, err := c.all()
		return err == nil && ed25519.Verify(key, whole, sig), err
	}
	sum, err := c.sum()
	if err != nil {
		return false, err
	}
	switch key := p.key.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, sum, sig), nil
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum, sig) == nil, nil
	}
	return false, nil
}

// Certified is a key that detached signatures are checked against.
type Certified struct {
	Name                string // of its file
	Key                 *PublicKey
	NotBefore, NotAfter time.Time // of its certificate; zero for a bare key
}

// LoadCertified reads one PEM file, or every file of a directory, that holds an X.509
// certificate or a public key. Who issued a certificate does not count: that it is in
// the place does.
func LoadCertified(place string) ([]Certified, error) {
	info, err := os.Stat(place)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "certificates: %w", err)
	}
	if !info.IsDir() {
		c, err := readCertified(place)
		return []Certified{c}, err
	}
	entries, err := os.ReadDir(place)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "certificates: %w", err)
	}
	var list []Certified
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") || entry.Type()&fs.ModeDir != 0 {
			continue
		}
		c, err := readCertified(filepath.Join(place, entry.Name()))
		if err != nil {
			return nil, err
		}
		if list = append(list, c); len(list) > maxCertificates {
			return nil, webjob.Errorf(webjob.TooLarge, "%s holds more than %d certificates", place, maxCertificates)
		}
	}
	if len(list) == 0 {
		return nil, webjob.Errorf(webjob.Invalid, "%s holds no certificate", place)
	}
	return list, nil
}

func readCertified(file string) (Certified, error) {
	c := Certified{Name: filepath.Base(file)}
	f, err := os.Open(file)
	if err != nil {
		return c, webjob.Errorf(webjob.Invalid, "certificates: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, MaxSignatureFile))
	if err := errors.Join(err, f.Close()); err != nil {
		return c, webjob.Errorf(webjob.Invalid, "certificates: %w", err)
	}
	if err := c.parse(text); err != nil {
		return c, webjob.Errorf(webjob.Invalid, "%s: %w", file, err)
	}
	return c, nil
}

func (c *Certified) parse(text []byte) error {
	block, _ := pem.Decode(text)
	switch {
	case block != nil && block.Type == "CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		c.NotBefore, c.NotAfter = certificate.NotBefore, certificate.NotAfter
		c.Key, err = NewPublicKey(certificate.PublicKey)
		return err
	case block != nil && block.Type == "PUBLIC KEY":
		var err error
		c.Key, err = ParsePublicKey(block.Bytes)
		return err
	}
	return webjob.Errorf(webjob.Invalid, "it holds neither a PEM certificate nor a PEM public key")
}

// CheckDetached returns the names of those whose signatures of the file are among the
// lines. Nobody's is Refused, and says of whom an expired certificate would count.
func CheckDetached(lines []byte, file io.ReadSeeker, who []Certified, now time.Time) ([]string, error) {
	if len(lines) > MaxSignatureFile {
		return nil, webjob.Errorf(webjob.TooLarge, "the signature file has more than %d bytes", MaxSignatureFile)
	}
	var signatures [][]byte
	for line := range strings.Lines(string(lines)) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		sig, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return nil, webjob.Errorf(webjob.Invalid, "the signature file is not base64, one signature a line: %.40q", line)
		}
		signatures = append(signatures, sig)
	}
	if len(signatures) == 0 || len(signatures) > maxSignatures {
		return nil, webjob.Errorf(webjob.Invalid, "the signature file has %d signatures; it must have 1 to %d", len(signatures), maxSignatures)
	}
	c := &content{file: file}
	var names, outdated []string
	ids := map[string]bool{} // one key in two files counts once
	for _, candidate := range who {
		good, err := candidate.signed(c, signatures)
		switch {
		case err != nil:
			return nil, err
		case !good || ids[candidate.Key.ID()]:
		case !candidate.valid(now):
			outdated = append(outdated, candidate.Name)
		default:
			ids[candidate.Key.ID()] = true
			names = append(names, candidate.Name)
		}
	}
	switch {
	case len(names) > 0:
		slices.Sort(names)
		return names, nil
	case len(outdated) > 0:
		return nil, webjob.Errorf(webjob.Refused, "the signature is good, and the certificate %s does not hold at %s; renew it, or mend this clock", strings.Join(outdated, ", "), now.UTC().Format(time.RFC3339))
	}
	return nil, webjob.Errorf(webjob.Refused, "no signature matches any of the %d certificates: the file was changed, or somebody else signed it", len(who))
}

func (c Certified) signed(file *content, signatures [][]byte) (bool, error) {
	for _, sig := range signatures {
		if good, err := c.Key.checks(file, sig); good || err != nil {
			return good, err
		}
	}
	return false, nil
}

func (c Certified) valid(now time.Time) bool {
	return c.NotAfter.IsZero() || !now.Before(c.NotBefore) && !now.After(c.NotAfter)
}
