package identity

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/durable"
	"webjob.dev/webjob/internal/trust"
)

// OwnCertificate is the server's certificate. It is issued anew when a third of its life is
// left, so a server that runs for years keeps a valid one; and when it is not good for what
// holds now, after a clock or the names in the settings were put right.
type OwnCertificate struct {
	folder    Folder
	authority *trust.Authority
	log       *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
}

// Certificate loads the server's certificate. One that is missing or not good is issued
// anew: all that it says follows from the authority and the settings.
func (f Folder) Certificate(authority *trust.Authority, log *slog.Logger) (*OwnCertificate, error) {
	o := &OwnCertificate{folder: f, authority: authority, log: log}
	current, err := f.ReadCertificate()
	if err == nil {
		err = f.Judge(current, authority, now())
	}
	if err == nil {
		o.current = current
		return o, nil
	}
	log.Warn("the server certificate is issued anew", "reason", err)
	return o, o.renew(now())
}

// renew issues another certificate and takes it into use.
func (o *OwnCertificate) renew(at time.Time) error {
	if err := o.folder.issue(o.authority, at); err != nil {
		return err
	}
	renewed, err := o.folder.ReadCertificate()
	if err != nil {
		return err
	}
	o.log.Info("the server certificate was renewed", slog.Time("expires", renewed.Leaf.NotAfter))
	o.current = renewed
	return nil
}

// Get returns the certificate of now; listeners ask for it at every handshake.
func (o *OwnCertificate) Get() (*tls.Certificate, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	leaf, at := o.current.Leaf, now()
	if left := leaf.NotAfter.Sub(at); left < leaf.NotAfter.Sub(leaf.NotBefore)/3 || at.Before(leaf.NotBefore) {
		if err := o.renew(at); err != nil {
			o.log.Error("the server certificate could not be renewed", "expires", leaf.NotAfter, "error", err)
			return o.current, nil // still better than no answer
		}
	}
	return o.current, nil
}

// Ready reports why clients would not accept the certificate of now.
func (o *OwnCertificate) Ready() error {
	current, err := o.Get()
	if err != nil {
		return err
	}
	return o.folder.Judge(current, o.authority, now())
}

// Judge reports why a certificate of the server is not good at a time.
func (f Folder) Judge(c *tls.Certificate, authority *trust.Authority, at time.Time) error {
	for _, one := range []struct {
		what string
		*x509.Certificate
	}{{"the CA", authority.Certificate}, {"the server certificate", c.Leaf}} {
		switch {
		case at.Before(one.NotBefore):
			return webjob.Errorf(webjob.Invalid, "%s is not valid before %s, and here it is %s; was a clock wrong?", one.what, one.NotBefore.UTC().Format(time.RFC3339), at.Format(time.RFC3339))
		case at.After(one.NotAfter):
			return webjob.Errorf(webjob.Invalid, "%s expired at %s, and here it is %s", one.what, one.NotAfter.UTC().Format(time.RFC3339), at.Format(time.RFC3339))
		}
	}
	if !bytes.Equal(c.Certificate[1], authority.Certificate.Raw) || c.Leaf.CheckSignatureFrom(authority.Certificate) != nil {
		return webjob.Errorf(webjob.Invalid, "the server certificate is of another CA")
	}
	if has, wants := trust.NamesOf(c.Leaf), trust.NamesOf(trust.Named(f.names())); !slices.Equal(has, wants) {
		return webjob.Errorf(webjob.Invalid, "the server certificate is for %s, and the settings name %s", strings.Join(has, ", "), strings.Join(wants, ", "))
	}
	return nil
}

// names are those in the settings, and always this machine by itself.
func (f Folder) names() []string {
	return append(slices.Clone(f.Names), "localhost", "127.0.0.1", "::1")
}

// issue makes a certificate with a new key.
func (f Folder) issue(authority *trust.Authority, at time.Time) error {
	key, err := trust.GenerateKey(trust.ECDSA)
	if err != nil {
		return err
	}
	certificate, err := authority.IssueServer(f.names(), key.Public(), at)
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
		return nil, webjob.Errorf(webjob.Invalid, "%s: %w", f.path(serverFile), err)
	}
	return &certificate, nil
}
