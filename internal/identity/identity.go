package identity

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
)

// Store is what the room needs of the store.
type Store interface {
	webjob.Tokens
	webjob.Operators
	Enroll(ctx context.Context, secret webjob.Digest, c webjob.Client, certificate webjob.Certificate, deliveries []webjob.Delivery) error
	Client(ctx context.Context, id string) (webjob.Client, error)
	RevokeClient(ctx context.Context, id, reason string, at time.Time) error
	SuspendClient(ctx context.Context, id, reason string, at time.Time) error
	SetLateRenewal(ctx context.Context, id string, asked, approvedUntil time.Time) error
	AddClone(ctx context.Context, clone webjob.Clone, deliveries []webjob.Delivery) error
	ForgetClone(ctx context.Context, client string) error
	RenewClient(ctx context.Context, id string, key webjob.Digest, certificate webjob.Certificate) error
	RevokedCertificates(ctx context.Context, now time.Time) ([]webjob.RevokedCertificate, error)
	PruneCertificates(ctx context.Context, now time.Time) error
}

// Neighbours is what the room needs of others.
type Neighbours struct {
	Store     Store
	Authority *trust.Authority
	// Roots returns every root that the job repository had; NotFound before it has one.
	Roots func() ([][]byte, error)
	// AllowClient and AllowOperator refuse those whom the access lists do not let through
	// from a remote address with its port.
	AllowClient   func(client webjob.Client, remote string) error
	AllowOperator func(name, remote string) error
	// Enrolled and ClonedNews return what triggers are to be told; Wake is called once that
	// is stored.
	Enrolled   func(webjob.Client) []webjob.Delivery
	ClonedNews func(webjob.Client, webjob.Clone) []webjob.Delivery
	Wake       func()
	// Join gives a new client the orders that wait for such.
	Join func(ctx context.Context, client string) error
	// CutClient and CutOperator end the connections of one who is shut out, whatever is
	// under way.
	CutClient, CutOperator func(name string)
	// ForgetTickets lets a client's tickets begin anew.
	ForgetTickets func(ctx context.Context, client string) error
	// Publish writes a new list of revoked certificates out, in DER.
	Publish func(list []byte) error
	// SuspendClones shuts a client out whose identity two hold.
	SuspendClones bool
	Log           *slog.Logger
}

// Room lets clients and operators in and out.
type Room struct {
	Neighbours

	Revocations Revocations
	Tokens      Tokens
}

// New returns the room.
func New(n Neighbours) *Room {
	r := &Room{Neighbours: n}
	r.Revocations = Revocations{store: n.Store, authority: n.Authority, publish: n.Publish}
	r.Tokens = Tokens{r}
	return r
}

// now is the time that is stored: UTC, to the microsecond.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// Client returns the client that shows a certificate with the key, when it is let in.
func (r *Room) Client(ctx context.Context, id string, key webjob.Digest) (webjob.Client, error) {
	c, err := r.Store.Client(ctx, id)
	if webjob.KindOf(err) == webjob.NotFound {
		return c, webjob.Errorf(webjob.Refused, "client %s is not enrolled here; enrol it with a token: webjobctl token new, then webjob enroll --id %s", id, id)
	}
	if err != nil {
		return c, err
	}
	return c, judge(c, key)
}

// judge refuses a client that is shut out, or has another key.
func judge(c webjob.Client, key webjob.Digest) error {
	switch {
	case c.Revoked() && strings.Contains(c.Reason, webjob.ReadmissionReason):
		return webjob.Errorf(webjob.Refused, "client %s is revoked, because an admin made a token with which it comes back: webjob enroll --id %s --token TOKEN; ask for the token, or when it has expired for a new one: webjobctl client readmit %s --new-key", c.ID, c.ID, c.ID)
	case c.Revoked():
		return webjob.Errorf(webjob.Refused, "client %s is revoked; an admin can let it come back with a new key: webjobctl client readmit %s --new-key", c.ID, c.ID)
	case c.Key != key:
		return webjob.Errorf(webjob.Refused, "client %s is enrolled with another key, and this one does not count; if it is the right machine, an admin lets it come back: webjobctl client readmit %s --new-key", c.ID, c.ID)
	case !c.SuspendedAt.IsZero():
		return webjob.Errorf(webjob.Refused, "client %s is suspended; an admin can let it in again: webjobctl client readmit %s", c.ID, c.ID)
	}
	return nil
}

// Operator returns the operator that shows a certificate with the key, when it is let in.
func (r *Room) Operator(ctx context.Context, name string, key webjob.Digest) (webjob.Operator, error) {
	o, err := r.Store.Operator(ctx, name)
	switch {
	case webjob.KindOf(err) == webjob.NotFound:
		return o, webjob.Errorf(webjob.Refused, "operator %s is unknown here; an admin can let it in: webjobctl operator add %s --role ROLE", name, name)
	case err != nil:
		return o, err
	case o.Revoked() && strings.Contains(o.Reason, webjob.ReadmissionReason):
		return o, webjob.Errorf(webjob.Refused, "the login of operator %s ended, because a token was made with which it logs in again: webjobctl login --name %s --token TOKEN; ask an admin for the token, or when it has expired for a new one: webjobctl operator renew %s", name, name, name)
	case o.Revoked():
		return o, webjob.Errorf(webjob.Refused, "operator %s is revoked; an admin can let it come back: webjobctl operator renew %s", name, name)
	case o.Key != key:
		return o, webjob.Errorf(webjob.Refused, "operator %s has logged in with another key, and this one no longer counts; an admin can let it come back: webjobctl operator renew %s", name, name)
	}
	return o, nil
}
