package trust

import (
	"crypto/tls"
	"crypto/x509"

	"webjob.dev/webjob"
)

// ServerTLS returns the configuration of a listener: TLS 1.3 only, client
// certificates verified against the authorities when shown. A handler still has to
// ask for one: enrolment and the renewal of an expired one are the only requests
// without.
func ServerTLS(certificate func() (*tls.Certificate, error), authorities ...*x509.Certificate) *tls.Config {
	pool := poolOf(authorities)
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		// Whole records from the start: payloads are read to their end before they are
		// used, so a first small record would only cost.
		DynamicRecordSizingDisabled: true,

		ClientAuth: tls.VerifyClientCertIfGiven,
		ClientCAs:  pool,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return certificate()
		},
	}
}

// ClientTLS returns the configuration of an enrolled program: TLS 1.3 only, the
// server verified against the pinned authorities and nothing else. There is more than
// one only while a server changes its CA.
func ClientTLS(own tls.Certificate, authorities ...*x509.Certificate) *tls.Config {
	pool := poolOf(authorities)
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		RootCAs:      pool,
		Certificates: []tls.Certificate{own},
	}
}

// VerifyOptions are those for a client's certificate.
func VerifyOptions(authorities *x509.CertPool) x509.VerifyOptions {
	return x509.VerifyOptions{Roots: authorities, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
}

func poolOf(authorities []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, authority := range authorities {
		pool.AddCert(authority)
	}
	return pool
}

// FirstContactTLS returns the configuration of a program that holds only a
// token. The server must show a chain that ends in the certificate with the
// token's digest; after the handshake that certificate is passed to pinned.
func FirstContactTLS(ca webjob.Digest, host string, pinned func(*x509.Certificate)) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ServerName: host,
		// The standard verification needs the CA certificate, of which we have only
		// the digest. VerifyConnection does the same verification once the server has
		// shown a certificate with that digest, and is called on every handshake.
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection verifies
		VerifyConnection: func(state tls.ConnectionState) error {
			authority, err := verifyFirstContact(state, ca, host)
			if err != nil {
				return err
			}
			pinned(authority)
			return nil
		},
	}
}

var errFingerprint = webjob.Errorf(webjob.Refused, "the server's CA is not the one that the token names; it is another server, or someone is in between")

func verifyFirstContact(state tls.ConnectionState, ca webjob.Digest, host string) (*x509.Certificate, error) {
	for _, candidate := range state.PeerCertificates {
		if webjob.DigestOf(candidate.Raw) != ca {
			continue
		}
		pool := x509.NewCertPool()
		pool.AddCert(candidate)
		_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
			Roots:     pool,
			DNSName:   host,
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		})
		return candidate, err
	}
	return nil, errFingerprint
}
