package server

import (
	"context"
	"errors"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/override"
	"webjob.dev/webjob/internal/rules"
)

// overdueEvery is how often overdue clients and old results are looked for.
const overdueEvery = time.Minute

// housekeep marks overdue clients and removes old results until ctx ends.
func (s *Server) housekeep(ctx context.Context) {
	ticker := time.NewTicker(overdueEvery)
	defer ticker.Stop()
	for {
		if err := s.tidy(ctx, now()); err != nil && ctx.Err() == nil {
			s.log.Error("housekeeping failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (s *Server) tidy(ctx context.Context, at time.Time) error {
	set := s.rules.Current()
	if err := errors.Join(s.sightings.flush(ctx), s.chains.flush(ctx), s.identity.Revocations.Refresh(ctx, at)); err != nil {
		return err
	}
	if set.Overdue > 0 {
		_, err := s.store.MarkOverdue(ctx, at.Add(-set.Overdue), at, func(c webjob.Client) []webjob.Delivery {
			event := rules.NewEvent(webjob.OnOverdue, c)
			event.LastSeen = c.LastSeen
			return s.rules.Deliveries(event, c.Subject())
		})
		if err != nil {
			return err
		}
		s.outbox.Wake()
	}
	if set.Overrides.Files == 0 {
		return nil
	}
	return s.prune(ctx, set.Overrides, at)
}

// pruneBatch bounds the results that one round removes, so that it holds nobody up.
const pruneBatch = 1000

// prune removes results that are older than their retention.
func (s *Server) prune(ctx context.Context, overrides *override.Set, at time.Time) error {
	labels := map[string]webjob.Labels{}
	page := webjob.Page{Limit: webjob.MaxPage}
	for more := true; more; {
		clients, err := s.store.ListClients(ctx, page)
		if err != nil {
			return err
		}
		for _, c := range clients {
			labels[c.ID], page.After = c.Labels, c.ID
		}
		more = len(clients) == page.Limit
	}
	// No upload may make use of a blob between the moment in which nothing names it and
	// its removal.
	s.blobUse.Lock()
	defer s.blobUse.Unlock()
	removed, blobs, err := s.store.PruneResults(ctx, func(client, job string) time.Time {
		if keep := overrides.For(client, labels[client], job).Retention; keep > 0 {
			return at.Add(-keep)
		}
		return time.Time{}
	}, pruneBatch)
	for _, d := range blobs {
		if err := s.blobs.Remove(ctx, d); err != nil {
			return err
		}
	}
	if removed > 0 {
		s.log.Info("results were removed after their retention", "results", removed, "blobs", len(blobs))
	}
	return err
}
