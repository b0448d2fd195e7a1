package server

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/trust"
)

// Server holds the services. Make one with [New], or with [Open] from a folder.
type Server struct {
	store     webjob.Store
	blobs     webjob.Blobs
	authority *trust.Authority
	settings  *Settings
	log       *slog.Logger
	metrics   *metrics
	sightings *sightings
	uploads   chan struct{} // one place for each result being received
	draining  atomic.Bool
	buffers   sync.Pool // *[]byte of copyBytes
}

// maxUploads bounds the results received at the same time. Each holds its record
// and its small parts in memory.
const maxUploads = 256

// Backends is what a program wires a server with.
type Backends struct {
	Store webjob.Store
	Blobs webjob.Blobs
}

// OpenBackends opens the backends that the settings name; see cmd/webjobd.
type OpenBackends func(ctx context.Context, metadataFile, blobsFolder string) (Backends, error)

// Open loads a server folder. Close releases it.
func Open(ctx context.Context, settings *Settings, log *slog.Logger, open OpenBackends) (*Server, error) {
	authority, err := loadAuthority(settings.dir)
	if err != nil {
		return nil, err
	}
	backends, err := open(ctx, settings.path(metadataFile), settings.path(blobsFolder))
	if err != nil {
		return nil, err
	}
	return &Server{
		store:     backends.Store,
		blobs:     backends.Blobs,
		authority: authority,
		settings:  settings,
		log:       log,
		metrics:   newMetrics(),
		sightings: newSightings(backends.Store),
		uploads:   make(chan struct{}, maxUploads),
	}, nil
}

// Close stores the last-seen times and closes the store.
func (s *Server) Close(ctx context.Context) error {
	return errors.Join(s.sightings.flush(ctx), s.store.Close())
}

func loadAuthority(dir string) (*trust.Authority, error) {
	certificate, err := readFile(filepath.Join(dir, authorityFile))
	if err != nil {
		return nil, err
	}
	key, err := readFile(filepath.Join(dir, authorityKey))
	if err != nil {
		return nil, err
	}
	authority, err := trust.LoadAuthority(certificate, key)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%s: %w; restore both files from a backup", filepath.Join(dir, "pki"), err)
	}
	return authority, nil
}

// now is the time that is stored: UTC, to the microsecond.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
