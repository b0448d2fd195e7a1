package endpoint

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/durable"
)

// Claims are the notes of the runs of orders that were begun on this machine, in
// whatever process. An order runs at most once for each of its times: who makes the note
// may begin the run, and nobody else after that.
type Claims struct {
	folder
	spooled func(run string) bool // something of the run waits to be sent, or is being made
}

// ErrLost says that a run was begun before and that nothing of it is left here: an
// order runs at most once, so it does not run again.
var ErrLost = errors.New("this run was begun before, and nothing of it is left here; it does not run again")

// ErrHeld says that a run was begun before and that its result is at hand or on its
// way.
var ErrHeld = errors.New("this run was begun before; its result waits or is being made")

// claimed is the note that a run of an order was begun. It is kept until the order
// can no longer be valid, whatever becomes of the run.
type claimed struct {
	Expires time.Time `json:"expires"` // of the order
}

// claimGrace is how long claims are kept after their order expired: clocks that are
// set back by less find them.
const claimGrace = 30 * 24 * time.Hour

// Check reports a run that was begun before.
func (s *Claims) Check(run string) error {
	if err := webjob.CheckRunID(run); err != nil {
		return err
	}
	_, err := os.Stat(s.path(claimsFolder, run))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return webjob.Errorf(webjob.Unavailable, "claims: %w", err)
	}
	if s.spooled(run) {
		return ErrHeld
	}
	return ErrLost
}

// Has reports whether a run of an order was begun here.
func (s *Claims) Has(run string) bool { return s.Check(run) != nil }

// Take notes durably that a run of an order begins, before anything of it starts. When
// the note is there already, someone else has begun it: ErrHeld or ErrLost.
func (s *Claims) Take(run string, expires time.Time) error {
	if err := os.MkdirAll(s.path(claimsFolder), 0o700); err != nil {
		return webjob.Errorf(webjob.Unavailable, "claims: %w", err)
	}
	encoded, err := json.Marshal(claimed{Expires: expires})
	if err != nil {
		return err
	}
	err = durable.Create(s.path(claimsFolder, run), encoded)
	if errors.Is(err, fs.ErrExist) {
		return s.Check(run)
	}
	if err != nil {
		return webjob.Errorf(webjob.Unavailable, "claims: %w", err)
	}
	return nil
}

// sweep removes the notes of orders that expired long ago.
func (s *Claims) sweep(now time.Time) error {
	entries, err := os.ReadDir(s.path(claimsFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		file := s.path(claimsFolder, entry.Name())
		text, readErr := os.ReadFile(file)
		var c claimed
		if readErr != nil || json.Unmarshal(text, &c) != nil {
			// Cut short by a crash: its age tells as much as is needed.
			info, statErr := entry.Info()
			if statErr != nil {
				continue
			}
			c.Expires = info.ModTime().Add(webjob.MaxOrderLifetime)
		}
		if now.After(c.Expires.Add(claimGrace)) {
			err = errors.Join(err, os.Remove(file))
		}
	}
	return err
}
