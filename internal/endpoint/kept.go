package endpoint

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/durable"
	"webjob.dev/webjob/internal/endpoint/fetch"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// Files of a kept job. The manifest is written last: it says that the rest is there.
const (
	keptManifest = "manifest"
	keptPayload  = "payload"
)

// KeptJobs are the manifests and payloads of standing orders, by the manifest's digest:
// they run also while the server is away.
type KeptJobs struct {
	folder
	exchange func(func(step string) (ticket string, err error)) error // one at a time; see Line
}

// Keep gets the jobs of orders that are not kept yet, and forgets those of others.
func (s *KeptJobs) Keep(ctx context.Context, e *Enrolment, r *trust.View, orders []*trust.SignedOrder) error {
	var errs []error
	wanted := map[string]bool{}
	c := e.Connect()
	defer c.Close()
	for _, order := range orders {
		wanted[order.Manifest.Hex()] = true
		if !exists(s.path(order.Manifest.Hex(), keptManifest)) {
			errs = append(errs, s.get(ctx, c, e.requester(r), order))
		}
	}
	entries, err := os.ReadDir(s.path())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	for _, entry := range entries {
		if !wanted[entry.Name()] {
			errs = append(errs, os.RemoveAll(s.path(entry.Name())))
		}
	}
	return errors.Join(errs...)
}

func (e *Enrolment) requester(r *trust.View) fetch.Requester {
	return fetch.Requester{ID: e.ID, Labels: e.Labels, Repository: r}
}

func (s *KeptJobs) get(ctx context.Context, c *wire.Client, who fetch.Requester, order *trust.SignedOrder) error {
	var offer *fetch.Offer
	err := s.exchange(func(step string) (ticket string, err error) {
		who.Ticket = step
		if offer, err = fetch.Job(ctx, c, who, order.Job, wire.JobQuery{Platform: webjob.ThisPlatform, Version: order.Version}, time.Now()); offer != nil {
			ticket = offer.Ticket
		}
		return ticket, err
	})
	if err != nil {
		return err
	}
	defer func() { _ = offer.Close() }() // only read
	if offer.Digest != order.Manifest {
		return webjob.Errorf(webjob.Refused, "order %s is for manifest %s and the server gave %s", order.ID, order.Manifest.Short(), offer.Digest.Short())
	}
	payload, err := offer.PayloadFor(webjob.ThisPlatform)
	if err != nil {
		return err
	}
	dir := s.path(order.Manifest.Hex())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := durable.New(dir)
	if err != nil {
		return err
	}
	defer f.Discard()
	if err := offer.Payload(ctx, payload, f); err != nil {
		return err
	}
	if err := f.Commit(filepath.Join(dir, keptPayload)); err != nil {
		return err
	}
	return durable.Write(filepath.Join(dir, keptManifest), offer.Text)
}

// offer returns the job of an order as it was kept. Everything is verified
// again, and the payload once more on the bytes that run.
func (s *KeptJobs) offer(order *trust.SignedOrder, r *trust.View) (*fetch.Offer, error) {
	dir := s.path(order.Manifest.Hex())
	manifest, err := os.ReadFile(filepath.Join(dir, keptManifest))
	if err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(dir, keptPayload))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return fetch.Kept(manifest, order.Manifest, order.Job, r, time.Now(), f, info.Size())
}
