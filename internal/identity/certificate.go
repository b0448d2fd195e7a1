package identity

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"sync"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/durable"
	"webjob.dev/webjob/internal/trust"
)

// OwnCertificate is the server's certificate. It is issued anew when a third of its life is
// left, so a server that runs for years keeps a valid one.
type OwnCertificate struct {
	folder    Folder
	authority *trust.Authority
	log       *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
}

// Certificate loads the server's certificate.
func (f Folder) Certificate(authority *trust.Authority, log *slog.Logger) (*OwnCertificate, error) {
	current, err := f.ReadCertificate()
	if err != nil {
		return nil, err
	}
	return &OwnCertificate{folder: f, authority: authority, log: log, current: current}, nil
}

// Get returns the certificate of now; listeners ask for it at every handshake.
func (o *OwnCertificate) Get() (*tls.Certificate, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	leaf := o.current.Leaf
	if left := time.Until(leaf.NotAfter); left < leaf.NotAfter.Sub(leaf.NotBefore)/3 {
		if err := o.folder.issue(o.authority); err != nil {
			o.log.Error("the server certificate could not be renewed", "expires", leaf.NotAfter, "error", err)
			return o.current, nil // still better than no answer
		}
		renewed, err := o.folder.ReadCertificate()
		if err != nil {
			return nil, err
		}
		o.log.Info("the server certificate was renewed", slog.Time("expires", renewed.Leaf.NotAfter))
		o.current = renewed
	}
	return o.current, nil
}

// issue makes a certificate with a new key for the names in the settings, and always for
// this machine by itself.
func (f Folder) issue(authority *trust.Authority) error {
	key, err := trust.GenerateKey(trust.ECDSA)
	if err != nil {
		return err
	}
	names := append(append([]string{}, f.Names...), "localhost", "127.0.0.1", "::1")
	certificate, err := authority.IssueServer(names, key.Public(), now())
	if err != nil {
		return err
	}
	private, err := key.PrivatePEM()
	if err != nil {
		return err
	}
	// The CA certificate goes along: a new client knows only its digest.
	chain := append(trust.CertificatePEM(certificate), trust.CertificatePEM(authority.Certificate)...)
	// One file holds both, so that a crash between two writes cannot part them.
	return durable.Write(f.path(serverFile), append(private, chain...))
}

// ReadCertificate reads the server's key and certificate.
func (f Folder) ReadCertificate() (*tls.Certificate, error) {
	text, err := f.Read(f.path(serverFile))
	if err != nil {
		return nil, err
	}
	certificate, err := tls.X509KeyPair(text, text)
	if err == nil && len(certificate.Certificate) < 2 {
		err = errors.New("the CA certificate is missing behind the server's")
	}
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%s: %w; restore it from a backup", f.path(serverFile), err)
	}
	return &certificate, nil
}
