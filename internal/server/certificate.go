package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/durable"
	"webjob.dev/webjob/internal/trust"
)

// ownCertificate is the server's certificate. It is issued anew when a third of
// its life is left, so a server that runs for years keeps a valid one.
type ownCertificate struct {
	server  *Server
	mu      sync.Mutex
	current *tls.Certificate
}

// serverCertificate loads the certificate and returns the function that listeners
// ask for it at every handshake.
func (s *Server) serverCertificate() (func() (*tls.Certificate, error), error) {
	certificate, err := loadCertificate(s.settings)
	if err != nil {
		return nil, err
	}
	own := &ownCertificate{server: s, current: certificate}
	return own.get, nil
}

func (o *ownCertificate) get() (*tls.Certificate, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	leaf := o.current.Leaf
	if left := time.Until(leaf.NotAfter); left < leaf.NotAfter.Sub(leaf.NotBefore)/3 {
		if err := writeServerCertificate(o.server.settings, o.server.authority); err != nil {
			o.server.log.Error("the server certificate could not be renewed", "expires", leaf.NotAfter, "error", err)
			return o.current, nil // still better than no answer
		}
		renewed, err := loadCertificate(o.server.settings)
		if err != nil {
			return nil, err
		}
		o.server.log.Info("the server certificate was renewed", slog.Time("expires", renewed.Leaf.NotAfter))
		o.current = renewed
	}
	return o.current, nil
}

// writeServerCertificate issues a certificate with a new key for the names in the
// settings, and always for this machine by itself.
func writeServerCertificate(settings *Settings, authority *trust.Authority) error {
	key, err := trust.GenerateKey(trust.ECDSA)
	if err != nil {
		return err
	}
	names := append(append([]string{}, settings.Names...), "localhost", "127.0.0.1", "::1")
	certificate, err := authority.IssueServer(names, key.Public(), now())
	if err != nil {
		return err
	}
	keyPEM, err := key.PrivatePEM()
	if err != nil {
		return err
	}
	// The CA certificate goes along: a new client knows only its digest.
	chain := append(trust.CertificatePEM(certificate), trust.CertificatePEM(authority.Certificate)...)
	// One file holds both, so that a crash between two writes cannot part them.
	return durable.Write(settings.path(serverFile), append(keyPEM, chain...))
}

func loadCertificate(settings *Settings) (*tls.Certificate, error) {
	text, err := readFile(settings.path(serverFile))
	if err != nil {
		return nil, err
	}
	certificate, err := tls.X509KeyPair(text, text)
	if err == nil && certificate.Leaf == nil {
		certificate.Leaf, err = x509.ParseCertificate(certificate.Certificate[0])
	}
	if err == nil && len(certificate.Certificate) < 2 {
		err = errors.New("the CA certificate is missing behind the server's")
	}
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%s: %w; restore it from a backup", settings.path(serverFile), err)
	}
	return &certificate, nil
}
