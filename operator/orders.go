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
	"webjob.dev/webjob/trust"
	"webjob.dev/webjob/wire"
)

// OrderPlan is an order before it is signed: its job may still be "the newest".
type OrderPlan struct {
	webjob.Order
	Keys []*trust.PrivateKey
}

// NewOrderID returns a fresh id that sorts by day and that people can type.
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

// Complete fills in the version and the manifest of the job.
func (s *Session) Complete(ctx context.Context, p *OrderPlan) (wire.JobDetail, error) {
	var detail wire.JobDetail
	if p.Version == 0 {
		var latest wire.LatestResponse
		if err := s.Call(ctx, http.MethodGet, wire.OperatorJobPath(p.Job, "latest"), nil, nil, &latest); err != nil {
			return detail, err
		}
		if latest.Version == 0 {
			return detail, webjob.Errorf(webjob.NotFound, "job %s is not published; webjobctl job list shows what is", p.Job)
		}
		p.Version = latest.Version
	}
	if err := s.Call(ctx, http.MethodGet, wire.OperatorJobPath(p.Job, strconv.FormatInt(p.Version, 10)), nil, nil, &detail); err != nil {
		return detail, err
	}
	if !detail.WithdrawnAt.IsZero() {
		return detail, webjob.Errorf(webjob.Conflict, "job %s version %d was withdrawn at %s; name another version, as in %s@N", p.Job, p.Version, detail.WithdrawnAt.Format(time.RFC3339), p.Job)
	}
	// What is ordered is what this operator's trust root says was signed, not what the
	// server says.
	root, err := s.home.PinnedRoot()
	if err != nil {
		return detail, err
	}
	m, err := root.VerifyManifest(detail.Envelope, time.Now())
	if err != nil {
		return detail, err
	}
	if m.Name != p.Job || m.Version != p.Version {
		return detail, webjob.Errorf(webjob.Refused, "asked for %s version %d and got %s version %d; the server swapped them", p.Job, p.Version, m.Name, m.Version)
	}
	if err := m.CheckArguments(p.Arguments); err != nil {
		return detail, err
	}
	p.Manifest = m.Digest
	return detail, nil
}

// submitAttempts is how often a signed order is sent to a server that does not answer.
// It is the same order each time, so it is taken once.
const submitAttempts = 3

// Submit signs the order and hands it to the server.
func (s *Session) Submit(ctx context.Context, p *OrderPlan) (webjob.OrderStatus, error) {
	var status webjob.OrderStatus
	envelope, err := trust.SignOrder(&p.Order, p.Keys...)
	if err != nil {
		return status, err
	}
	for attempt := 1; ; attempt++ {
		err = s.Call(ctx, http.MethodPost, wire.PathOrders, nil, wire.OrderRequest{Envelope: envelope}, &status)
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

// SameOrder reports whether an order that exists asks for the same: it makes giving
// an order with an id of one's own twice harmless.
func SameOrder(a, b webjob.Order) bool {
	return a.Job == b.Job && a.Manifest == b.Manifest && a.On == b.On && slices.Equal(a.Arguments, b.Arguments)
}
