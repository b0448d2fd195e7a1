package trust

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"

	"webjob.dev/webjob"
)

// KeyType names a signature algorithm.
type KeyType string

// The algorithms: Ed25519 (RFC 8032), ECDSA on P-256 with SHA-256, and RSA-PSS
// with SHA-256 and a salt as long as the digest.
const (
	Ed25519 KeyType = "ed25519"
	ECDSA   KeyType = "ecdsa"
	RSA     KeyType = "rsa"
)

// Bounds of RSA keys in bits: shorter ones are too weak, longer ones only slow.
const (
	minRSABits = 2048
	newRSABits = 3072
	maxRSABits = 8192
)

var pssOptions = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}

// PublicKey checks signatures. It satisfies dsse.Verifier.
type PublicKey struct {
	key crypto.PublicKey
	der []byte // PKIX, or SSH's wire form of a hardware key
	id  string // SHA-256 of der in hexadecimal
}

// NewPublicKey accepts the public keys that KeyType lists.
func NewPublicKey(key crypto.PublicKey) (*PublicKey, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return nil, webjob.Errorf(webjob.Invalid, "ECDSA key on curve %s is not supported; use P-256", k.Curve.Params().Name)
		}
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return nil, webjob.Errorf(webjob.Invalid, "RSA key of %d bits is not supported; use %d to %d", bits, minRSABits, maxRSABits)
		}
	default:
		return nil, webjob.Errorf(webjob.Invalid, "key type %T is not supported; use Ed25519, ECDSA P-256 or RSA", key)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "public key cannot be encoded: %w", err)
	}
	return newPublic(key, der), nil
}

func newPublic(key crypto.PublicKey, encoded []byte) *PublicKey {
	sum := sha256.Sum256(encoded)
	return &PublicKey{key: key, der: encoded, id: hex.EncodeToString(sum[:])}
}

// ParsePublicKey reads PKIX DER or, for hardware keys, SSH's wire form.
func ParsePublicKey(der []byte) (*PublicKey, error) {
	if key, found, err := parseHardwareKey(der); found || err != nil {
		if err != nil {
			return nil, err
		}
		return newPublic(key, key.encode()), nil
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "public key is not readable: %w", err)
	}
	return NewPublicKey(key)
}

// ID returns the SHA-256 of the PKIX DER in hexadecimal.
func (p *PublicKey) ID() string { return p.id }

// DER returns the PKIX encoding.
func (p *PublicKey) DER() []byte { return p.der }

// hardwareBlock is the type of the PEM block of a hardware key.
const hardwareBlock = "SSH PUBLIC KEY"

// PEM returns the encoding as a PEM block.
func (p *PublicKey) PEM() []byte {
	kind := "PUBLIC KEY"
	if p.Type() == HardwareEd25519 {
		kind = hardwareBlock
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: p.der})
}

// Type returns the algorithm.
func (p *PublicKey) Type() KeyType {
	switch p.key.(type) {
	case ed25519.PublicKey:
		return Ed25519
	case *ecdsa.PublicKey:
		return ECDSA
	case hardwareKey:
		return HardwareEd25519
	}
	return RSA
}

// KeyID is ID, for dsse.
func (p *PublicKey) KeyID() (string, error) { return p.ID(), nil }

// Public returns the key itself.
func (p *PublicKey) Public() crypto.PublicKey { return p.key }

var errBadSignature = errors.New("signature does not match")

// Verify returns nil when sig is the key's signature of data.
func (p *PublicKey) Verify(_ context.Context, data, sig []byte) error {
	digest := sha256.Sum256(data)
	good := false
	switch key := p.key.(type) {
	case ed25519.PublicKey:
		good = ed25519.Verify(key, data, sig)
	case *ecdsa.PublicKey:
		good = ecdsa.VerifyASN1(key, digest[:], sig)
	case hardwareKey:
		good = key.verify(data, sig)
	case *rsa.PublicKey:
		good = rsa.VerifyPSS(key, crypto.SHA256, digest[:], sig, pssOptions) == nil
	}
	if !good {
		return errBadSignature
	}
	return nil
}

// PrivateKey makes signatures. It satisfies dsse.Signer.
type PrivateKey struct {
	*PublicKey
	signer crypto.Signer
}

// GenerateKey makes a new key.
func GenerateKey(t KeyType) (*PrivateKey, error) {
	var signer crypto.Signer
	var err error
	switch t {
	case Ed25519:
		_, signer, err = ed25519.GenerateKey(rand.Reader)
	case ECDSA:
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RSA:
		signer, err = rsa.GenerateKey(rand.Reader, newRSABits)
	default:
		return nil, webjob.Errorf(webjob.Invalid, "key type %.40q is unknown; use ed25519, ecdsa or rsa", string(t))
	}
	if err != nil {
		return nil, err
	}
	return NewPrivateKey(signer)
}

// NewHardwareKey takes over a key on a security key, which signs through signer.
func NewHardwareKey(public *PublicKey, signer crypto.Signer) *PrivateKey {
	return &PrivateKey{PublicKey: public, signer: signer}
}

// NewPrivateKey takes over a key that can sign, wherever it is.
func NewPrivateKey(signer crypto.Signer) (*PrivateKey, error) {
	public, err := NewPublicKey(signer.Public())
	if err != nil {
		return nil, err
	}
	return &PrivateKey{PublicKey: public, signer: signer}, nil
}

// ParsePrivateKey reads one PKCS #8 PEM block.
func ParsePrivateKey(text []byte) (*PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, webjob.Errorf(webjob.Invalid, "private key is not a PEM block of type PRIVATE KEY")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "private key is not readable: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, webjob.Errorf(webjob.Invalid, "private key type %T cannot sign", key)
	}
	return NewPrivateKey(signer)
}

// PrivatePEM returns the key as a PKCS #8 PEM block. Keep it in a file of mode 0600.
func (p *PrivateKey) PrivatePEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(p.signer)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Signer returns the key for certificates and TLS.
func (p *PrivateKey) Signer() crypto.Signer { return p.signer }

// Sign returns the key's signature of data.
func (p *PrivateKey) Sign(_ context.Context, data []byte) ([]byte, error) {
	digest := sha256.Sum256(data)
	switch p.Type() {
	case Ed25519, HardwareEd25519:
		return p.signer.Sign(rand.Reader, data, crypto.Hash(0))
	case RSA:
		return p.signer.Sign(rand.Reader, digest[:], pssOptions)
	default:
		return p.signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	}
}

// ParsePublicPEM reads one PKIX PEM block.
func ParsePublicPEM(text []byte) (*PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" && block.Type != hardwareBlock {
		return nil, webjob.Errorf(webjob.Invalid, "public key is not a PEM block of type PUBLIC KEY")
	}
	return ParsePublicKey(block.Bytes)
}
