package server

import (
	"context"
	"sync"
	"time"

	"webjob.dev/webjob"
)

// sightingInterval is how exact last-seen times are.
const sightingInterval = time.Minute

// sightings gathers last-seen times in memory and stores them once a minute, so
// that a request costs no write for it. A crash loses at most the last minute.
type sightings struct {
	store webjob.Clients
	mu    sync.Mutex
	seen  map[string]time.Time
}

func newSightings(store webjob.Clients) *sightings {
	return &sightings{store: store, seen: map[string]time.Time{}}
}

func (s *sightings) add(client string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[client] = at
}

// last returns the time that is newer than the stored one, or zero.
func (s *sightings) last(client string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[client]
}

// flush stores what was gathered. What could not be stored is gathered again.
func (s *sightings) flush(ctx context.Context) error {
	s.mu.Lock()
	seen := s.seen
	s.seen = map[string]time.Time{}
	s.mu.Unlock()
	if len(seen) == 0 {
		return nil
	}
	err := s.store.SawClients(ctx, seen)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		for client, at := range seen {
			if _, newer := s.seen[client]; !newer {
				s.seen[client] = at
			}
		}
	}
	return err
}

// run flushes until ctx ends.
func (s *sightings) run(ctx context.Context, failed func(error)) {
	ticker := time.NewTicker(sightingInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := s.flush(ctx); err != nil {
				failed(err)
			}
		}
	}
}
