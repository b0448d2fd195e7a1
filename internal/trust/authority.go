package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"slices"
	"time"

	"webjob.dev/webjob"
)

// Lifetimes of certificates.
const (
	authorityLifetime = 10 * 365 * 24 * time.Hour
	serverLifetime    = 365 * 24 * time.Hour
	// ClientLifetime is that of clients' certificates, unless the server says otherwise;
	// they are renewed at half of it.
	ClientLifetime   = 7 * 24 * time.Hour
	operatorLifetime = 365 * 24 * time.Hour
	clockSkew        = 5 * time.Minute // certificates start this much in the past
)

// Authority issues the certificates of one installation. It lives on the server.
type Authority struct {
	Certificate *x509.Certificate
	// Others are authorities that are accepted as well: the one to come, or the one
	// before, while a server changes its CA.
	Others []*x509.Certificate
	// Lifetime is that of clients' certificates.
	Lifetime time.Duration
	key      crypto.Signer
}

// All returns every authority that is accepted, the issuing one first.
func (a *Authority) All() []*x509.Certificate {
	return append([]*x509.Certificate{a.Certificate}, a.Others...)
}

// PEM returns all of them as PEM blocks.
func (a *Authority) PEM() []byte {
	var text []byte
	for _, certificate := range a.All() {
		text = append(text, CertificatePEM(certificate)...)
	}
	return text
}

// NewAuthority makes a certificate authority with a new P-256 key.
func NewAuthority(name string, now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serialNumber(),
		Subject:               pkix.Name{CommonName: name, Organization: []string{organization}},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(authorityLifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &Authority{Certificate: certificate, Lifetime: ClientLifetime, key: key}, err
}

// LoadAuthority puts an authority together from its PEM files.
func LoadAuthority(certificatePEM, keyPEM []byte) (*Authority, error) {
	certificates, err := ParseCertificates(certificatePEM)
	if err != nil {
		return nil, err
	}
	certificate := certificates[0]
	key, err := ParsePrivateKey(keyPEM)
	if err != nil {
		return nil, err
	}
	public, ok := certificate.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !certificate.IsCA || !ok || !public.Equal(key.Public()) {
		return nil, webjob.Errorf(webjob.Invalid, "the CA certificate and the CA key do not belong together")
	}
	return &Authority{Certificate: certificate, Others: certificates[1:], Lifetime: ClientLifetime, key: key.Signer()}, nil
}

// PrivateKey returns the authority's key for keeping in a file of mode 0600.
func (a *Authority) PrivateKey() (*PrivateKey, error) { return NewPrivateKey(a.key) }

// IssueServer returns a certificate for the host names and addresses.
func (a *Authority) IssueServer(names []string, key crypto.PublicKey, now time.Time) (*x509.Certificate, error) {
	template := Named(names)
	template.Subject = pkix.Name{CommonName: names[0], Organization: []string{organization}}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return a.issue(template, key, serverLifetime, now)
}

// Named returns a certificate that has only the host names and addresses.
func Named(names []string) *x509.Certificate {
	c := &x509.Certificate{}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	return c
}

// NamesOf returns the host names and addresses of a certificate, sorted.
func NamesOf(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// IssueIdentity returns a certificate for a client or an operator. Its common
// name is the id; see [Identify].
func (a *Authority) IssueIdentity(id Identity, key crypto.PublicKey, now time.Time) (*x509.Certificate, error) {
	if err := id.check(); err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{
			CommonName:         id.Name,
			Organization:       []string{organization},
			OrganizationalUnit: []string{string(id.Role)},
		},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	lifetime := a.Lifetime
	if id.Role == webjob.RoleOperator {
		lifetime = operatorLifetime
	}
	return a.issue(template, key, lifetime, now)
}

func (a *Authority) issue(template *x509.Certificate, key crypto.PublicKey, lifetime time.Duration, now time.Time) (*x509.Certificate, error) {
	template.SerialNumber = serialNumber()
	template.NotBefore = now.Add(-clockSkew)
	template.NotAfter = now.Add(lifetime)
	if template.NotAfter.After(a.Certificate.NotAfter) {
		template.NotAfter = a.Certificate.NotAfter
	}
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, a.Certificate, key, a.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// RevocationList returns a list of revoked certificates (DER) that holds until next.
func (a *Authority) RevocationList(revoked []webjob.RevokedCertificate, now, next time.Time) ([]byte, error) {
	template := &x509.RevocationList{Number: big.NewInt(now.UnixMilli()), ThisUpdate: now.Add(-clockSkew), NextUpdate: next}
	for _, r := range revoked {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: r.Serial, RevocationTime: r.At})
	}
	return x509.CreateRevocationList(rand.Reader, template, a.Certificate, a.key)
}

// serialNumber returns a positive random number of 128 bits (RFC 5280, 4.1.2.2).
func serialNumber() *big.Int {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	raw[0] = raw[0]&0x7f | 0x40
	return new(big.Int).SetBytes(raw)
}

// ParseCertificates reads one or more PEM certificates.
func ParseCertificates(text []byte) ([]*x509.Certificate, error) {
	var list []*x509.Certificate
	for {
		block, rest := pem.Decode(text)
		if block == nil || len(list) > 0 && len(list) >= maxAuthorities {
			break
		}
		certificate, err := ParseCertificate(pem.EncodeToMemory(block))
		if err != nil {
			return nil, err
		}
		list, text = append(list, certificate), rest
	}
	if len(list) == 0 {
		return nil, webjob.Errorf(webjob.Invalid, "certificate is not a PEM block of type CERTIFICATE")
	}
	return list, nil
}

// maxAuthorities bounds the authorities that one server has at a time.
const maxAuthorities = 4

// ParseCertificate reads one PEM certificate.
func ParseCertificate(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, webjob.Errorf(webjob.Invalid, "certificate is not a PEM block of type CERTIFICATE")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "certificate is not readable: %w", err)
	}
	return certificate, nil
}

// CertificatePEM returns the certificate as a PEM block.
func CertificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
