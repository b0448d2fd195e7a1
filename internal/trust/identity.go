package trust

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"

	"webjob.dev/webjob"
)

const organization = "WebJob"

// Identity is who a certificate is for: the common name, and the role in the
// organizational unit.
type Identity struct {
	Role webjob.Role
	Name string
}

func (id Identity) check() error {
	if id.Role != webjob.RoleClient && id.Role != webjob.RoleOperator {
		return webjob.Errorf(webjob.Invalid, "role %.40q is unknown", string(id.Role))
	}
	return id.Role.CheckName(id.Name)
}

// Identify reads the identity from a certificate whose chain was verified.
// A certificate of another kind, such as a server's, is Refused.
func Identify(certificate *x509.Certificate) (Identity, error) {
	subject := certificate.Subject
	if len(subject.OrganizationalUnit) != 1 {
		return Identity{}, webjob.Errorf(webjob.Refused, "the certificate of %.80q names no role", subject.CommonName)
	}
	id := Identity{Role: webjob.Role(subject.OrganizationalUnit[0]), Name: subject.CommonName}
	if err := id.check(); err != nil {
		return Identity{}, webjob.Errorf(webjob.Refused, "certificate: %w", err)
	}
	return id, nil
}

// KeyDigest returns the digest of a certificate's public key (PKIX DER, as it stands
// in the certificate), by which the server tells a re-enrolled client from the
// earlier holder of its name.
func KeyDigest(certificate *x509.Certificate) webjob.Digest {
	return webjob.DigestOf(certificate.RawSubjectPublicKeyInfo)
}

// CertificateRequest returns a PKCS #10 request (DER) by which the holder of key
// asks for a certificate.
func CertificateRequest(key *PrivateKey, name string) ([]byte, error) {
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}
	return x509.CreateCertificateRequest(rand.Reader, template, key.Signer())
}

// ParseCertificateRequest checks that the request was made by the holder of its
// key and returns the key. The subject in the request is not looked at.
func ParseCertificateRequest(der []byte) (crypto.PublicKey, error) {
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "certificate request is not readable: %w", err)
	}
	if err := request.CheckSignature(); err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "certificate request is not signed by its own key: %w", err)
	}
	key, err := NewPublicKey(request.PublicKey)
	if err != nil {
		return nil, err
	}
	return key.Public(), nil
}
