package endpoint

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"path/filepath"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/durable"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// RenewalDue reports whether half of the certificate's life is over.
func (e *Enrolment) RenewalDue(now time.Time) bool {
	leaf := e.config.Certificates[0].Leaf
	return now.After(leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2))
}

// Renew gets a new certificate for the client's key, when it is due or forced. With one
// that has expired the server asks an operator first: the error is Refused until then.
func (s *Enrolments) Renew(ctx context.Context, target Target, force bool) (renewed bool, err error) {
	e, err := s.With(target)
	if err != nil {
		return false, err
	}
	now := time.Now()
	if !force && !e.RenewalDue(now) {
		return false, nil
	}
	folder := s.path(string(target))
	identity, err := readIdentity(folder)
	if err != nil {
		return false, err
	}
	key, err := trust.ParsePrivateKey(identity)
	if err != nil {
		return false, damaged(folder, folder, err)
	}
	request, err := trust.CertificateRequest(key, e.ID)
	if err != nil {
		return false, err
	}
	config := e.TLS()
	if now.After(e.Expires()) {
		config.Certificates = nil // the server would not even listen
	}
	c := wire.NewClient(e.URL, config)
	defer c.Close()
	var response wire.RenewResponse
	err = s.tickets.run(target).exchange(func(step string) (ticket string, err error) {
		c.Ticket = func() (string, error) { return step, nil }
		header, err := c.Exchange(ctx, http.MethodPost, wire.PathRenew, nil, wire.RenewRequest{ID: e.ID, CertificateRequest: request}, &response)
		return header.Get(wire.HeaderTicket), err
	})
	if err != nil {
		return false, err
	}
	return true, s.keepRenewal(folder, e, key, response)
}

// renewExpired renews a certificate that can no longer be used.
func (s *Enrolments) renewExpired(ctx context.Context) error {
	e, err := s.With(TargetGet)
	if err != nil || time.Now().Before(e.Expires()) {
		return err
	}
	_, err = s.Renew(ctx, TargetGet, true)
	return err
}

// keepRenewal checks and keeps what the server gave: first whom to trust, which holds
// with the old certificate too, then the certificate.
func (s *Enrolments) keepRenewal(folder string, e *Enrolment, key *trust.PrivateKey, response wire.RenewResponse) error {
	if err := checkCertificates(response.Certificate, response.Authority); err != nil {
		return err
	}
	keyPEM, err := key.PrivatePEM()
	if err != nil {
		return err
	}
	identity := append(keyPEM, response.Certificate...)
	next := *e
	next.Authority = response.Authority
	if err := next.load(identity); err != nil {
		return webjob.Errorf(webjob.Refused, "the renewal is not used: %w", err)
	}
	if own := next.config.Certificates[0]; time.Now().After(own.Leaf.NotAfter) || !hasAuthority(next.config, own) {
		return webjob.Errorf(webjob.Refused, "the renewal is not used: its certificate has expired already, or no CA of the server issued it")
	}
	encoded, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return err
	}
	for _, file := range []struct {
		name    string
		content []byte
	}{{enrolmentFile, encoded}, {identityFile, identity}} {
		if err := durable.Write(filepath.Join(folder, file.name), file.content); err != nil {
			return webjob.Errorf(webjob.Unavailable, "state folder: %w", err)
		}
	}
	return nil
}

// maxCertificates bounds certificates that are kept and read again with every use, in
// bytes of PEM: one for this client, or those of a few CAs.
const maxCertificates = 64 << 10

func checkCertificates(texts ...string) error {
	for _, text := range texts {
		if len(text) > maxCertificates {
			return webjob.Errorf(webjob.TooLarge, "the server gave certificates of %d bytes; at most %d", len(text), maxCertificates)
		}
	}
	return nil
}

func hasAuthority(config *tls.Config, own tls.Certificate) bool {
	_, err := own.Leaf.Verify(trust.VerifyOptions(config.RootCAs))
	return err == nil
}
