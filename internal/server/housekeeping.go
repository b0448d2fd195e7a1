package server

import (
	"context"
	"errors"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/rules"
)

// overdueEvery is how often overdue clients are looked for.
const overdueEvery = time.Minute

// housekeep marks overdue clients until ctx ends.
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
	if err := errors.Join(s.sightings.flush(ctx), s.chains.flush(ctx), s.identity.Revocations.Refresh(ctx, at), s.record.Flush(ctx, at)); err != nil {
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
		s.courier.Wake()
	}
	return nil
}
