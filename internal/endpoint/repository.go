package endpoint

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"time"

	"github.com/gofrs/flock"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/durable"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// What is kept of the job repository: one file, so that it is whole or not at all.
const (
	repositoryFile = getFolder + "/repository.json"
	repositoryLock = getFolder + "/repository.lock"
)

// RepositoryCache is the trust anchor: the job repository as this client verified it
// last, over the root that was pinned at enrolment. It only ever moves forward.
type RepositoryCache struct{ folder }

// Read returns the job repository as this client verified it last, or only the
// root that was pinned at enrolment.
func (s *RepositoryCache) Read(e *Enrolment, now time.Time) (*trust.View, error) {
	return s.read(e, now, trust.ParseView)
}

func (s *RepositoryCache) read(e *Enrolment, now time.Time, parse func([]byte, time.Time) (*trust.View, error)) (*trust.View, error) {
	data, err := os.ReadFile(s.path(repositoryFile))
	if errors.Is(err, fs.ErrNotExist) {
		return trust.NewView(e.TrustRoot)
	}
	if err != nil {
		return nil, webjob.Errorf(webjob.Unavailable, "job repository: %w", err)
	}
	r, err := parse(data, now)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%s is damaged: %w; remove it, and older jobs than those seen before are no longer noticed once", s.path(repositoryFile), err)
	}
	return r, nil
}

// Keep keeps a view for later runs, unless a newer one is kept already.
func (s *RepositoryCache) Keep(e *Enrolment, r *trust.View) error {
	lock := flock.New(s.path(repositoryLock))
	if err := lock.Lock(); err != nil {
		return webjob.Errorf(webjob.Unavailable, "job repository: %w", err)
	}
	defer func() { _ = lock.Unlock() }() // closing releases it
	kept, err := s.Read(e, time.Now())
	if err != nil {
		return err
	}
	if kept.RootVersion() > r.RootVersion() || kept.Timestamp() > r.Timestamp() {
		return nil
	}
	encoded, err := r.Encode()
	if err != nil {
		return err
	}
	if err := durable.Write(s.path(repositoryFile), encoded); err != nil {
		return webjob.Errorf(webjob.Unavailable, "job repository: %w; free space or mend the state folder", err)
	}
	return nil
}

// Sync asks the server for what is new in the job repository, verifies and keeps it.
// The policy and this client's labels come along with what the jobs need.
func (s *RepositoryCache) Sync(ctx context.Context, e *Enrolment, c *wire.Client, jobs ...string) (*trust.View, error) {
	before, err := s.Read(e, time.Now())
	if err != nil {
		return nil, err
	}
	paths := []string{trust.PolicyPath, trust.ClientPath(e.ID)}
	for _, job := range jobs {
		paths = append(paths, trust.JobPath(job))
	}
	var bundle webjob.RepositoryBundle
	request := wire.RepositoryRequest{Have: before.Have(paths...), Jobs: jobs}
	if err := c.Call(ctx, http.MethodPost, wire.PathRepository, nil, request, &bundle); err != nil {
		return nil, err
	}
	r, err := before.Update(bundle, time.Now())
	if err != nil {
		return nil, err
	}
	return r, s.Keep(e, r)
}

// Current returns a view that has not expired and holds the policy and this client's
// labels. It asks the server only when the kept one does not.
func (s *RepositoryCache) Current(ctx context.Context, e *Enrolment, c *wire.Client) (*trust.View, error) {
	r, err := s.Read(e, time.Now())
	if err != nil {
		return nil, err
	}
	if r.Fresh(time.Now()) == nil {
		_, policyErr := r.Policy()
		_, _, labelsErr := r.Labels(e.ID)
		if policyErr == nil && labelsErr == nil {
			return r, nil
		}
	}
	return s.Sync(ctx, e, c)
}

// AsSeen returns the view of the last time at which it had not expired: standing orders
// go on with it while the server is away.
func (s *RepositoryCache) AsSeen(e *Enrolment) (*trust.View, error) {
	return s.read(e, time.Now(), trust.ParseViewAsSeen)
}

// Subject returns what orders are checked against: the id, the labels that were signed
// for this client or else those of its enrolment, and what this machine says of itself.
func (e *Enrolment) Subject(r *trust.View) (webjob.Subject, error) {
	labels, err := e.labels(r)
	return webjob.Subject{ID: e.ID, Labels: labels, Facts: Facts()}, err
}

func (e *Enrolment) labels(r *trust.View) (webjob.Labels, error) {
	labels, found, err := r.Labels(e.ID)
	if err != nil || !found {
		return e.Labels, err
	}
	return labels, nil
}
