package operator

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/trust"
)

// Orders gives orders, and adds signatures to those of others.
type Orders struct {
	session    *Session
	repository Repository
	jobs       Jobs
}

// OrderPlan is an order before it is signed: its job may still be "the newest".
type OrderPlan struct {
	webjob.Order
	Keys []*trust.PrivateKey
}

// NewOrderID returns a new id that sorts by day and that people can type.
func NewOrderID(now time.Time) string {
	random := make([]byte, 5)
	_, _ = rand.Read(random) // never fails
	return now.UTC().Format("20060102") + "-" + strings.ToLower(base32.StdEncoding.EncodeToString(random))
}

// ParseJobReference reads NAME or NAME@VERSION; version is 0 for the newest.
func ParseJobReference(text string) (name string, version int64, err error) {
	name, number, found := strings.Cut(text, "@")
	if err := webjob.CheckJobName(name); err != nil {
		return "", 0, err
	}
	if !found {
		return name, 0, nil
	}
	version, err = strconv.ParseInt(number, 10, 64)
	if err != nil || version < 1 {
		return "", 0, webjob.Errorf(webjob.Invalid, "%.80q is no job version; write NAME or NAME@VERSION", text)
	}
	return name, version, nil
}

// Complete fills in the version and the manifest of the job, from what was signed: the
// server's word does not count.
func (o Orders) Complete(ctx context.Context, p *OrderPlan) (*trust.SignedManifest, error) {
	r, err := o.repository.trusted(ctx)
	if err != nil {
		return nil, err
	}
	signed, _, err := listed(r, p.Job, p.Version)
	if err != nil {
		return nil, err
	}
	p.Version = signed.Version
	m, err := o.jobs.manifest(ctx, p.Job, signed, time.Now())
	if err != nil {
		return nil, err
	}
	if err := m.CheckArguments(p.Arguments); err != nil {
		return nil, err
	}
	p.Manifest = m.Digest
	return m, nil
}

// submitAttempts is how often a signed order is sent to a server that does not answer.
// It is the same order each time, so it is taken once.
const submitAttempts = 3

// Submit signs the order and hands it to the server.
func (o Orders) Submit(ctx context.Context, p *OrderPlan) (webjob.OrderStatus, error) {
	var status webjob.OrderStatus
	envelope, err := trust.SignOrder(&p.Order, p.Keys...)
	if err != nil {
		return status, err
	}
	for attempt := 1; ; attempt++ {
		err = o.session.Call(ctx, http.MethodPost, api.PathOrders, nil, api.OrderRequest{Envelope: envelope}, &status)
		if webjob.KindOf(err) != webjob.Unavailable || attempt == submitAttempts || ctx.Err() != nil {
			return status, err
		}
		timer := time.NewTimer(time.Second)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// Pending is an order that waits for signatures, and what would run where.
type Pending struct {
	Status   webjob.OrderStatus
	Envelope []byte
	Signed   *trust.SignedOrder
	Manifest *trust.SignedManifest
	Before   *trust.IndexVersion // what people compare it with; nil for nothing
	Missing  int64               // signatures, says the server, of
	MaySign  []string
	Selected api.SelectResponse
}

// Pending returns an order as it is signed, verified as far as it goes.
func (o Orders) Pending(ctx context.Context, id string) (*Pending, error) {
	r, err := o.repository.trusted(ctx)
	if err != nil {
		return nil, err
	}
	policy, err := r.Policy()
	if err != nil {
		return nil, err
	}
	var detail api.OrderDetail
	if err := o.session.Call(ctx, http.MethodGet, api.OrderPath(id), nil, nil, &detail); err != nil {
		return nil, err
	}
	p := &Pending{Status: detail.OrderStatus, Envelope: detail.Envelope, Missing: detail.Missing, MaySign: detail.MaySign}
	if p.Signed, err = policy.OpenOrder(detail.Envelope); err != nil {
		return nil, err
	}
	if p.Signed.ID != id {
		return nil, webjob.Errorf(webjob.Refused, "asked for order %s and got order %s; the server swapped them", id, p.Signed.ID)
	}
	version, index, err := listed(r, p.Signed.Job, p.Signed.Version)
	if err != nil {
		return nil, err
	}
	p.Before = earlier(index, version)
	if version.Manifest != p.Signed.Manifest {
		return nil, webjob.Errorf(webjob.Refused, "order %s is for manifest %s, and %s version %d has %s; do not sign it", id, p.Signed.Manifest.Short(), p.Signed.Job, version.Version, version.Manifest.Short())
	}
	if p.Manifest, err = o.jobs.manifest(ctx, p.Signed.Job, version, time.Now()); err != nil {
		return nil, err
	}
	err = o.session.Call(ctx, http.MethodPost, api.PathSelect, nil, api.SelectRequest{On: p.Signed.On}, &p.Selected)
	return p, err
}

// MayApprove refuses whoever has not the role for it, before anything is shown: the server
// would do so afterwards.
func (s *Session) MayApprove(ctx context.Context) error {
	var me webjob.Operator
	if err := s.Call(ctx, http.MethodGet, api.OperatorPath(s.Name), nil, nil, &me); err != nil {
		return err
	}
	for _, g := range me.Grants {
		if slices.Contains(g.Role.Rights(), webjob.MayApprove) {
			return nil
		}
	}
	return webjob.Errorf(webjob.Refused, "operator %s may not sign here, with the role %s; an admin can change that: webjobctl operator role %s approver", s.Name, webjob.GrantsText(me.Grants), s.Name)
}

// Helps refuses keys whose signatures would not bring the order further.
func (o Orders) Helps(ctx context.Context, p *Pending, keys []*trust.PrivateKey) error {
	r, err := o.repository.trusted(ctx)
	if err != nil {
		return err
	}
	policy, err := r.Policy()
	if err != nil {
		return err
	}
	for _, key := range keys {
		name := policy.NameOf(key.ID())
		switch {
		case slices.Contains(p.Signed.SignedBy, name):
			return webjob.Errorf(webjob.Conflict, "%s has signed order %s already; it waits for %s", name, p.Signed.ID, SignaturesOf(p.Missing, p.MaySign))
		case name == "" || len(p.MaySign) > 0 && !slices.Contains(p.MaySign, name):
			return webjob.Errorf(webjob.Refused, "a signature of the key %s does not count for order %s; it waits for %s", o.repository.Names(policy)(key.ID()), p.Signed.ID, SignaturesOf(p.Missing, p.MaySign))
		}
	}
	return nil
}

// SignaturesOf says what is missing, for people.
func SignaturesOf(missing int64, of []string) string {
	switch missing {
	case 0: // of an older server
		return "more signatures"
	case 1:
		return "1 more signature, of " + strings.Join(of, " or ")
	}
	return strconv.FormatInt(missing, 10) + " more signatures, of " + strings.Join(of, ", ")
}

// Approve adds the keys' signatures to an order that was looked at.
func (o Orders) Approve(ctx context.Context, p *Pending, keys []*trust.PrivateKey) (webjob.OrderStatus, error) {
	var status webjob.OrderStatus
	envelope, err := trust.ApproveOrder(p.Envelope, keys...)
	if err != nil {
		return status, err
	}
	err = o.session.Call(ctx, http.MethodPost, api.OrderPath(p.Signed.ID, "approve"), nil, api.OrderRequest{Envelope: envelope}, &status)
	return status, err
}

// SameOrder reports whether an order that exists asks for the same: it makes giving
// an order with an id of one's own twice harmless.
func SameOrder(a, b webjob.Order) bool {
	return a.Job == b.Job && a.Manifest == b.Manifest && a.On == b.On && slices.Equal(a.Arguments, b.Arguments)
}
