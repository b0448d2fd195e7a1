package server

import (
	"bytes"
	"context"
	"net/http"
	"sync"
	"time"

	"webjob.dev/webjob/internal/durable"
	"webjob.dev/webjob/wire"
)

// revocationFile is the list of revoked certificates (RFC 5280), for TLS programs that
// are not ours, such as a proxy in front. Our servers ask their register with every
// request and need no list.
const revocationFile = "pki/revoked.crl"

// How long a list holds, and when it is made anew at the latest.
const (
	revocationLifetime = 24 * time.Hour
	revocationRefresh  = revocationLifetime / 2
)

// revocations is the list of now.
type revocations struct {
	mu   sync.Mutex
	list []byte // DER
	made time.Time
}

// publishRevocations makes the list anew and writes it out.
func (s *Server) publishRevocations(ctx context.Context) error {
	s.revocations.mu.Lock()
	defer s.revocations.mu.Unlock()
	at := now()
	revoked, err := s.store.RevokedCertificates(ctx, at)
	if err != nil {
		return err
	}
	list, err := s.authority.RevocationList(revoked, at, at.Add(revocationLifetime))
	if err != nil {
		return err
	}
	s.revocations.list, s.revocations.made = list, at
	return durable.Write(s.settings.path(revocationFile), list)
}

// refreshRevocations makes the list anew when half of its life is over.
func (s *Server) refreshRevocations(ctx context.Context, at time.Time) error {
	s.revocations.mu.Lock()
	made := s.revocations.made
	s.revocations.mu.Unlock()
	if at.Sub(made) < revocationRefresh {
		return nil
	}
	if err := s.store.PruneCertificates(ctx, at); err != nil {
		return err
	}
	return s.publishRevocations(ctx)
}

// handleRevocations serves the list to anybody: it is public and signed.
func (s clientHandlers) handleRevocations(w http.ResponseWriter, r *http.Request) error {
	s.revocations.mu.Lock()
	list, made := s.revocations.list, s.revocations.made
	s.revocations.mu.Unlock()
	w.Header().Set("Content-Type", wire.ContentTypeCRL)
	http.ServeContent(w, r, "", made, bytes.NewReader(list))
	return nil
}
