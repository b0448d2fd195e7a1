package endpoint

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/durable"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// StandingOrders are the envelopes of orders whose time this client keeps, by digest.
type StandingOrders struct{ folder }

// Read returns the standing orders, by name. What they say is verified when they
// are obeyed, not here.
func (s *StandingOrders) Read() ([][]byte, error) {
	entries, err := os.ReadDir(s.path())
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
		envelope, err := os.ReadFile(s.path(entry.Name()))
		if err != nil {
			return nil, webjob.Errorf(webjob.Unavailable, "standing orders: %w", err)
		}
		envelopes = append(envelopes, envelope)
	}
	return envelopes, nil
}

// Replace replaces the standing orders.
func (s *StandingOrders) Replace(envelopes [][]byte) error {
	if len(envelopes) > wire.MaxStanding {
		return webjob.Errorf(webjob.TooLarge, "%d standing orders; at most %d", len(envelopes), wire.MaxStanding)
	}
	dir := s.path()
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
		if exists(s.path(name)) {
			continue
		}
		if err := durable.Write(s.path(name), envelope); err != nil {
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
