package endpoint

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/durable"
	"webjob.dev/webjob/internal/trust"
)

// maxStanding bounds the standing orders of a client.
const maxStanding = 1000

// Standing returns the standing orders, by name. What they say is verified when they
// are obeyed, not here.
func (s *State) Standing() ([][]byte, error) {
	entries, err := os.ReadDir(s.path(standingFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, webjob.Errorf(webjob.Unavailable, "standing orders: %w", err)
	}
	var envelopes [][]byte
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue // a file that was being written when webjob was killed
		}
		envelope, err := os.ReadFile(s.path(standingFolder, entry.Name()))
		if err != nil {
			return nil, webjob.Errorf(webjob.Unavailable, "standing orders: %w", err)
		}
		envelopes = append(envelopes, envelope)
	}
	return envelopes, nil
}

// SetStanding replaces the standing orders.
func (s *State) SetStanding(envelopes [][]byte) error {
	if len(envelopes) > maxStanding {
		return webjob.Errorf(webjob.TooLarge, "%d standing orders; at most %d", len(envelopes), maxStanding)
	}
	dir := s.path(standingFolder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return webjob.Errorf(webjob.Unavailable, "standing orders: %w", err)
	}
	wanted := map[string]bool{}
	for _, envelope := range envelopes {
		if len(envelope) > trust.MaxEnvelopeBytes {
			return webjob.Errorf(webjob.TooLarge, "a standing order has %d bytes; at most %d", len(envelope), trust.MaxEnvelopeBytes)
		}
		name := webjob.DigestOf(envelope).Hex()
		wanted[name] = true
		if err := durable.Write(filepath.Join(dir, name), envelope); err != nil {
			return webjob.Errorf(webjob.Unavailable, "standing orders: %w", err)
		}
	}
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		if !wanted[entry.Name()] {
			err = errors.Join(err, os.Remove(filepath.Join(dir, entry.Name())))
		}
	}
	if err != nil {
		return webjob.Errorf(webjob.Unavailable, "standing orders: %w", err)
	}
	return nil
}

// StandingPolicy returns the policy with which standing orders are looked at: the last
// one that was fresh. Each run is judged again, with a fresh one when the server is
// there.
func (s *State) StandingPolicy(e *Enrolment) (*trust.Policy, error) {
	r, err := s.asSeen(e)
	if err != nil {
		return nil, err
	}
	return r.Policy()
}

// Claimed reports whether a run of an order was begun here.
func (s *State) Claimed(run string) bool { return s.checkUnclaimed(run) != nil }

// Sweep removes what is no longer needed: work folders of runs that are dead, claims of
// orders that expired long ago, and what writes left that a crash ended.
func (s *State) Sweep(now time.Time) error {
	sp, err := s.Spool()
	if err != nil {
		return err
	}
	err = errors.Join(s.sweepWork(sp), s.sweepClaims(now))
	for _, folder := range []string{"", getFolder, putFolder, standingFolder} {
		err = errors.Join(err, durable.Sweep(s.path(folder), now.Add(-24*time.Hour)))
	}
	return err
}

// Path returns a path below the state folder.
func (s *State) Path(name string) string { return s.path(name) }
