package trust

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"

	"webjob.dev/webjob"
)

// Token is a one-time token as people carry it: all that a new machine needs to
// find the server, to know that it is the right one, and to be let in. Whoever
// holds the text can enrol; keep it like a password until it is used.
type Token struct {
	URL    string        // of the server, such as https://host:8443
	CA     webjob.Digest // of the server's CA certificate (DER)
	Root   webjob.Digest // of the trust root to pin; EmptyDigest in an operator's token
	Labels webjob.Labels // that the new client gets; not the server but who made the token says so
	Secret [16]byte
}

const (
	tokenPrefix   = "wjt1_"
	tokenChecksum = 4 // bytes of SHA-256 at the end, to tell a mistyped token from a forged one
	tokenFixed    = sha256.Size + sha256.Size + 16
	maxTokenURL   = 512
	maxTokenText  = maxTokenURL + 32*100 // URL and labels
)

const tokenSeparator = "\n" // in no address and in no label

// NewToken makes a token with a new secret.
func NewToken(serverURL string, ca, root webjob.Digest, labels webjob.Labels) (Token, error) {
	t := Token{URL: serverURL, CA: ca, Root: root, Labels: labels}
	if _, err := rand.Read(t.Secret[:]); err != nil {
		return Token{}, err
	}
	return t, CheckServerURL(serverURL)
}

// SecretDigest is what the server keeps instead of the secret.
func (t Token) SecretDigest() webjob.Digest { return webjob.DigestOf(t.Secret[:]) }

// String returns the text form: "wjt1_" and base64url of the CA digest, the root
// digest, the secret, the URL, the labels, each after a line feed, and four bytes of
// SHA-256 over all of these.
func (t Token) String() string {
	var b bytes.Buffer
	for _, d := range []webjob.Digest{t.CA, t.Root} {
		sum, _ := hex.DecodeString(d.Hex()) // the digests were parsed
		b.Write(sum)
	}
	b.Write(t.Secret[:])
	b.WriteString(strings.Join(append([]string{t.URL}, t.Labels.Groups()...), tokenSeparator))
	sum := sha256.Sum256(b.Bytes())
	b.Write(sum[:tokenChecksum])
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(b.Bytes())
}

// ParseToken reads the text form. Errors never repeat the text: it is a secret.
func ParseToken(s string) (Token, error) {
	damaged := webjob.Errorf(webjob.Invalid, "token is damaged or cut short; copy all of it, from %q to the end", tokenPrefix)
	encoded, found := strings.CutPrefix(strings.TrimSpace(s), tokenPrefix)
	if !found || len(encoded) > 2*(tokenFixed+maxTokenText) {
		return Token{}, damaged
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(raw) <= tokenFixed+tokenChecksum {
		return Token{}, damaged
	}
	body, checksum := raw[:len(raw)-tokenChecksum], raw[len(raw)-tokenChecksum:]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:tokenChecksum], checksum) {
		return Token{}, damaged
	}
	parts := strings.Split(string(body[tokenFixed:]), tokenSeparator)
	labels, err := webjob.ParseLabels(parts[1:])
	if err != nil {
		return Token{}, damaged
	}
	t := Token{
		CA:   webjob.Digest("sha256:" + hex.EncodeToString(body[:32])),
		Root: webjob.Digest("sha256:" + hex.EncodeToString(body[32:64])),
		URL:  parts[0],
	}
	if len(labels) > 0 {
		t.Labels = labels
	}
	copy(t.Secret[:], body[64:])
	return t, CheckServerURL(t.URL)
}

// CheckServerURL accepts "https://host" or "https://host:port" and nothing more:
// paths are ours, credentials are certificates.
func CheckServerURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || len(s) > maxTokenURL ||
		u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" || u.ForceQuery {
		return webjob.Errorf(webjob.Invalid, "server address %.80q is malformed; write https://HOST:PORT", s)
	}
	return nil
}
