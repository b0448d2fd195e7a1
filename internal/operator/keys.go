package operator

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/youmark/pkcs8"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
)

// Passphrases asks for a passphrase, for a purpose that people are told; isNew asks for
// a new one, twice. An empty one leaves the key in the clear.
type Passphrases func(purpose string, isNew bool) ([]byte, error)

// scryptOptions makes every guess at a passphrase cost 16 MiB of memory, eight times
// over (RFC 7914): as much as the openssl command will spend, which can read these keys.
var scryptOptions = &pkcs8.Opts{Cipher: pkcs8.AES256CBC, KDFOpts: pkcs8.ScryptOpts{SaltSize: 16, CostParameter: 1 << 14, BlockSize: 8, ParallelizationParameter: 8}}

const encryptedType = "ENCRYPTED PRIVATE KEY" // RFC 5958, in PEM

// encodePrivate returns the PEM of a key, encrypted unless the passphrase is empty.
func encodePrivate(key *trust.PrivateKey, passphrase []byte) ([]byte, error) {
	if len(passphrase) == 0 {
		return key.PrivatePEM()
	}
	der, err := pkcs8.MarshalPrivateKey(key.Signer(), passphrase, scryptOptions)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "encrypt key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: encryptedType, Bytes: der}), nil
}

// DecodePrivate reads a private key in PEM (PKCS #8) and asks for its passphrase when
// it has one.
func DecodePrivate(text []byte, purpose string, ask Passphrases) (*trust.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != encryptedType {
		return trust.ParsePrivateKey(text)
	}
	if ask == nil {
		return nil, webjob.Errorf(webjob.Invalid, "it is encrypted, and nobody can be asked for the passphrase")
	}
	passphrase, err := ask(purpose, false)
	if err != nil {
		return nil, err
	}
	parsed, _, err := pkcs8.ParsePrivateKey(block.Bytes, passphrase)
	if err != nil {
		return nil, webjob.Errorf(webjob.Refused, "the passphrase is wrong, or the file is damaged")
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, webjob.Errorf(webjob.Invalid, "private key type %T cannot sign", parsed)
	}
	return trust.NewPrivateKey(signer)
}

// agentEnd is the end of the name of a file that says that the SSH agent has the key.
const agentEnd = ".agent"

// NewAgentKey takes over a key that the SSH agent holds: its fingerprint
// (SHA256:...) or its comment names it. The private key stays where it is.
func (h *Home) NewAgentKey(name, wanted string) (Key, error) {
	if err := trust.CheckKeyName(name); err != nil {
		return Key{}, err
	}
	keys, err := agentKeys()
	if err != nil {
		return Key{}, err
	}
	var offered []string
	for _, k := range keys {
		fingerprint := ssh.FingerprintSHA256(k)
		if k.Comment != wanted && fingerprint != wanted {
			offered = append(offered, fingerprint+" "+k.Comment)
			continue
		}
		public, err := publicOf(k)
		if err != nil {
			return Key{}, err
		}
		if err := h.addFile(filepath.Join(keysFolder, name+agentEnd), []byte(fingerprint+"\n")); err != nil {
			return Key{}, webjob.Errorf(webjob.KindOf(err), "key %s: %w", name, err)
		}
		if err := h.addFile(filepath.Join(keysFolder, name+publicEnd), public.PEM()); err != nil {
			return Key{}, webjob.Errorf(webjob.KindOf(err), "key %s: %w", name, err)
		}
		return h.describeKey(name, public), nil
	}
	return Key{}, webjob.Errorf(webjob.NotFound, "the SSH agent has no key %q; it has: %s", wanted, strings.Join(offered, "; "))
}

func sshAgent() (agent.ExtendedAgent, net.Conn, error) {
	socket := os.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil, nil, webjob.Errorf(webjob.Unavailable, "no SSH agent is running here (SSH_AUTH_SOCK is not set); start one, and add the key with ssh-add")
	}
	var dialer net.Dialer
	conn, err := dialer.Dial("unix", socket) //nolint:noctx // a socket of this machine
	if err != nil {
		return nil, nil, webjob.Errorf(webjob.Unavailable, "the SSH agent does not answer: %w", err)
	}
	return agent.NewClient(conn), conn, nil
}

func agentKeys() ([]*agent.Key, error) {
	a, conn, err := sshAgent()
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // everything was read
	keys, err := a.List()
	if err != nil {
		return nil, webjob.Errorf(webjob.Unavailable, "the SSH agent does not answer: %w", err)
	}
	return keys, nil
}

// publicOf returns a key of the agent as ours: one that signs bytes as they are, so
// that everybody who knows Ed25519 can check it, or one on a security key.
func publicOf(k *agent.Key) (*trust.PublicKey, error) {
	switch k.Type() {
	case ssh.KeyAlgoSKED25519:
		return trust.ParseSSHHardwareKey(k.Marshal())
	case ssh.KeyAlgoED25519:
	default:
		return nil, webjob.Errorf(webjob.Invalid, "key %s of the SSH agent is of type %s; only %s and %s can sign here", ssh.FingerprintSHA256(k), k.Type(), ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519)
	}
	parsed, err := ssh.ParsePublicKey(k.Marshal())
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "key of the SSH agent: %w", err)
	}
	return trust.NewPublicKey(parsed.(ssh.CryptoPublicKey).CryptoPublicKey())
}

// agentSigner signs with a key that the SSH agent holds.
type agentSigner struct{ public *trust.PublicKey }

// Public implements crypto.Signer.
func (s agentSigner) Public() crypto.PublicKey { return s.public.Public() }

// Sign implements crypto.Signer for Ed25519: message is what is signed.
func (s agentSigner) Sign(_ io.Reader, message []byte, _ crypto.SignerOpts) ([]byte, error) {
	a, conn, err := sshAgent()
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // everything was read
	key, err := s.sshKey()
	if err != nil {
		return nil, err
	}
	signature, err := a.Sign(key, message)
	if err != nil && strings.HasPrefix(err.Error(), "agent: client error") { // of the connection, which the library keeps no kind of
		return nil, webjob.Errorf(webjob.Unavailable, "the SSH agent does not answer: %w", err)
	}
	if err != nil {
		return nil, webjob.Errorf(webjob.Unavailable, "the SSH agent does not sign with key %s: %w; add it with ssh-add", ssh.FingerprintSHA256(key), err)
	}
	sig := append(signature.Blob, signature.Rest...) // of a security key: flags and counter
	if signature.Format != key.Type() || s.public.Verify(context.Background(), message, sig) != nil {
		return nil, webjob.Errorf(webjob.Invalid, "the SSH agent made a signature that does not match its key, or nobody touched the security key")
	}
	return sig, nil
}

func (s agentSigner) sshKey() (ssh.PublicKey, error) {
	if s.public.Type() == trust.HardwareEd25519 {
		return ssh.ParsePublicKey(s.public.DER())
	}
	return ssh.NewPublicKey(s.public.Public())
}

// fromAgent returns the private key that the SSH agent holds under a name here.
func (h *Home) fromAgent(name string) (*trust.PrivateKey, error) {
	if _, err := os.Stat(h.path(keysFolder, name+agentEnd)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	public, err := h.PublicKey(name)
	if err != nil {
		return nil, err
	}
	if public.Type() == trust.HardwareEd25519 {
		return trust.NewHardwareKey(public, agentSigner{public}), nil
	}
	return trust.NewPrivateKey(agentSigner{public})
}

// SetPassphrase encrypts a private key anew, or with an empty passphrase not at all any more.
func (h *Home) SetPassphrase(name string) (encrypted bool, err error) {
	if _, err := os.Stat(h.path(keysFolder, name+agentEnd)); err == nil {
		return false, webjob.Errorf(webjob.Invalid, "the SSH agent holds key %s; change its passphrase there (ssh-keygen -p)", name)
	}
	key, err := h.PrivateKey(name)
	if err != nil {
		return false, err
	}
	passphrase, err := h.ask("new passphrase of key "+name, true)
	if err != nil {
		return false, err
	}
	text, err := encodePrivate(key, passphrase)
	if err != nil {
		return false, err
	}
	return len(passphrase) > 0, h.replaceFile(filepath.Join(keysFolder, name+privateEnd), text)
}

// Classes of characters for passwords.
var Classes = map[string]string{
	"lower": "abcdefghijklmnopqrstuvwxyz", "upper": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "digit": "0123456789",
	"hex": "0123456789abcdef", "symbol": "!#$%&()*+,-./:;<=>?@[]^_{|}~",
	"plain": "abcdefghijkmnpqrstuvwxyzACDEFGHJKLMNPQRTUVWXY34679", // nothing that looks like something else
}

// NewPassword returns a password of so many characters of a set, each as likely as any
// other.
func NewPassword(set string, length int) (string, error) {
	letters := []rune{}
	for _, r := range set {
		if !strings.ContainsRune(string(letters), r) {
			letters = append(letters, r)
		}
	}
	if len(letters) < 2 {
		return "", webjob.Errorf(webjob.Invalid, "a set of %d characters makes no password; use at least 2", len(letters))
	}
	if length < 1 || length > 1024 {
		return "", webjob.Errorf(webjob.Invalid, "length is %d; it must be 1 to 1024", length)
	}
	var b strings.Builder
	for range length {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
		if err != nil {
			return "", err
		}
		b.WriteRune(letters[n.Int64()])
	}
	return b.String(), nil
}

// parsePublic reads a public key as PEM, or as OpenSSH writes it.
func parsePublic(text []byte) (*trust.PublicKey, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("ssh-")) && !bytes.HasPrefix(bytes.TrimSpace(text), []byte("sk-")) && !bytes.HasPrefix(bytes.TrimSpace(text), []byte("ecdsa-")) {
		return trust.ParsePublicPEM(text)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "OpenSSH public key: %w", err)
	}
	if key.Type() == ssh.KeyAlgoSKED25519 {
		return trust.ParseSSHHardwareKey(key.Marshal())
	}
	public, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return nil, webjob.Errorf(webjob.Invalid, "OpenSSH key type %s is not supported; use ssh-ed25519", key.Type())
	}
	return trust.NewPublicKey(public.CryptoPublicKey())
}
