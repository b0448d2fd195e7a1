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

// KeepJobs gets the jobs of standing orders that are not kept yet, and forgets those
// of others.
func (s *State) KeepJobs(ctx context.Context, e *Enrolment, orders []*trust.SignedOrder) error {
	var errs []error
	wanted := map[string]bool{}
	c := e.Connect()
	defer c.Close()
	r, err := s.Repository(e, time.Now())
	if err != nil {
		return err
	}
	for _, order := range orders {
		wanted[order.Manifest.Hex()] = true
		if _, err := os.Stat(s.path(keptFolder, order.Manifest.Hex(), keptManifest)); errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, s.keepJob(ctx, c, e.requester(r), order))
		}
	}
	entries, err := os.ReadDir(s.path(keptFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	for _, entry := range entries {
		if !wanted[entry.Name()] {
			errs = append(errs, os.RemoveAll(s.path(keptFolder, entry.Name())))
		}
	}
	return errors.Join(errs...)
}

func (e *Enrolment) requester(r *trust.Repository) fetch.Requester {
	return fetch.Requester{ID: e.ID, Labels: e.Labels, Repository: r}
}

func (s *State) keepJob(ctx context.Context, c *wire.Client, who fetch.Requester, order *trust.SignedOrder) error {
	var offer *fetch.Offer
	err := s.withTicket(func(ticket string) (next string, err error) {
		who.Ticket = ticket
		if offer, err = fetch.Job(ctx, c, who, order.Job, wire.JobQuery{Platform: webjob.ThisPlatform, Version: order.Version}, time.Now()); offer != nil {
			next = offer.Ticket
		}
		return next, err
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
	dir := s.path(keptFolder, order.Manifest.Hex())
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

// keptJob returns the job of a standing order as it was kept. Everything is verified
// again, and the payload once more on the bytes that run.
func (s *State) keptJob(order *trust.SignedOrder, r *trust.Repository) (*fetch.Offer, error) {
	dir := s.path(keptFolder, order.Manifest.Hex())
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
