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

// anchorFile says where the notes of begun runs belong. A state folder that was copied,
// or restored from a backup, has forgotten the runs since: the notes lie in a folder
// that was made later than the one that the anchor knows.
const anchorFile = "anchor.json"

type anchor struct {
	Place    string    `json:"place"`             // of the claims folder; see placeOf
	Restored time.Time `json:"restored,omitzero"` // when that was last found to have changed
}

// restored returns when this state folder was found to be a copy, zero when it never
// was. Orders from before may have run already: they do not run again.
func (s *Claims) restored(now time.Time) (time.Time, error) {
	claims := s.path(claimsFolder)
	if err := os.MkdirAll(claims, 0o700); err != nil {
		return time.Time{}, webjob.Errorf(webjob.Unavailable, "claims: %w", err)
	}
	place, err := placeOf(claims)
	if err != nil {
		return time.Time{}, webjob.Errorf(webjob.Unavailable, "claims: %w", err)
	}
	var a anchor
	text, err := os.ReadFile(s.path(anchorFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return time.Time{}, webjob.Errorf(webjob.Unavailable, "claims: %w", err)
	case json.Unmarshal(text, &a) != nil:
		return time.Time{}, webjob.Errorf(webjob.Invalid, "%s is damaged; remove it, and orders from before that do not run", s.path(anchorFile))
	}
	if a.Place == place {
		return a.Restored, nil
	}
	next := anchor{Place: place, Restored: a.Restored}
	if a.Place != "" {
		next.Restored = now.UTC()
	}
	encoded, err := json.Marshal(next)
	if err != nil {
		return time.Time{}, err
	}
	if err := durable.Write(s.path(anchorFile), encoded); err != nil {
		return time.Time{}, webjob.Errorf(webjob.Unavailable, "claims: %w", err)
	}
	return next.Restored, nil
}

// checkNotRestored refuses a run of an order that may have happened before this folder
// was restored.
func (s *Claims) checkNotRestored(created, at, now time.Time) error {
	restored, err := s.restored(now)
	if err != nil || restored.IsZero() {
		return err
	}
	if at.IsZero() {
		at = created
	}
	if at.Before(restored) {
		return ErrLost
	}
	return nil
}
