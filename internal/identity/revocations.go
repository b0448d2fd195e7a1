package identity

import (
	"context"
	"sync"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
)

// How long a list of revoked certificates holds, and when it is made anew at the latest.
const (
	revocationLifetime = 24 * time.Hour
	revocationRefresh  = revocationLifetime / 2
)

// Revocations is the list of revoked certificates (RFC 5280), for TLS programs that are
// not ours, such as a proxy in front. Our servers ask their register with every request
// and need no list.
type Revocations struct {
	store interface {
		RevokedCertificates(ctx context.Context, now time.Time) ([]webjob.RevokedCertificate, error)
		PruneCertificates(ctx context.Context, now time.Time) error
	}
	authority *trust.Authority
	publish   func(list []byte) error

	mu   sync.Mutex
	list []byte // DER
	made time.Time
}

// Renew makes the list anew and writes it out.
func (r *Revocations) Renew(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := now()
	revoked, err := r.store.RevokedCertificates(ctx, at)
	if err != nil {
		return err
	}
	list, err := r.authority.RevocationList(revoked, at, at.Add(revocationLifetime))
	if err != nil {
		return err
	}
	r.list, r.made = list, at
	return r.publish(list)
}

// Refresh makes the list anew when half of its life is over.
func (r *Revocations) Refresh(ctx context.Context, at time.Time) error {
	r.mu.Lock()
	made := r.made
	r.mu.Unlock()
	if at.Sub(made) < revocationRefresh {
		return nil
	}
	if err := r.store.PruneCertificates(ctx, at); err != nil {
		return err
	}
	return r.Renew(ctx)
}

// List returns the list of now, in DER, and when it was made.
func (r *Revocations) List() ([]byte, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list, r.made
}
