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
	"webjob.dev/webjob/internal/hook"
	"webjob.dev/webjob/internal/trust"
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

	repository  *repository
	payloads    *payloads
	chains      *chains
	revocations revocations
	dispatcher  *dispatcher
	outbox      *hook.Outbox
	connections *connections
	returns     returns
	policy      atomic.Pointer[policy]
	policyError atomic.Pointer[error] // why the configuration on disk is not in use; nil when it is
	blobUse     sync.RWMutex          // who is to name a blob reads it, for moments; the removal of blobs writes it

	approvals sync.Mutex // one approval of an order at a time

	uploads    *places // for results being received
	resumables *places // for uploads being received
	asking     *places // for hooks being asked
	draining   atomic.Bool
}

// maxUploads bounds the results received at the same time. Each holds its record
// and its small parts in memory.
const maxUploads = 256

// maxResumables bounds the uploads received at the same time. They take long and must
// leave room for small results.
const maxResumables = 64

// maxAsking bounds the hooks asked at the same time: each may be a process.
const maxAsking = 64

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
	authority.Lifetime = time.Duration(settings.Clients.Certificate)
	policy, err := loadPolicy(settings)
	if err != nil {
		return nil, err
	}
	backends, err := open(ctx, settings.path(metadataFile), settings.path(blobsFolder))
	if err != nil {
		return nil, err
	}
	repository, err := loadRepository(ctx, settings.dir, backends.Store, log)
	if err != nil {
		return nil, errors.Join(err, backends.Store.Close())
	}
	secret, err := repository.online.PrivatePEM()
	if err != nil {
		return nil, errors.Join(err, backends.Store.Close())
	}
	chains, err := newChains(ctx, secret, backends.Store)
	if err != nil {
		return nil, errors.Join(err, backends.Store.Close())
	}
	s := &Server{
		chains:      chains,
		repository:  repository,
		payloads:    newPayloads(backends.Blobs),
		store:       backends.Store,
		blobs:       backends.Blobs,
		authority:   authority,
		settings:    settings,
		log:         log,
		metrics:     newMetrics(),
		sightings:   newSightings(backends.Store),
		dispatcher:  newDispatcher(backends.Store, log),
		connections: newConnections(),
		uploads:     newPlaces("receiving results", maxUploads),
		resumables:  newPlaces("receiving uploads", maxResumables),
		asking:      newPlaces("asking hooks", maxAsking),
	}
	s.policy.Store(policy)
	chains.notify = s.cloned
	s.outbox = hook.NewOutbox(backends.Store, s.trigger, log, s.metrics.told)
	s.dispatcher.ended, s.dispatcher.told = s.orderEnded, s.outbox.Wake
	return s, nil
}

// loadOrders takes over the orders that have not ended. Only the process that serves
// does this: it carries out what they are due.
func (s *Server) loadOrders(ctx context.Context) error {
	_, policy, _, err := s.repository.view()
	if webjob.KindOf(err) == webjob.NotFound {
		return nil // nobody could have signed one
	}
	if err != nil {
		return err
	}
	return s.dispatcher.load(ctx, policy)
}

// orderEnded returns what triggers are told of the end of an order.
func (s *Server) orderEnded(o webjob.OrderStatus) []webjob.Delivery {
	event := newEvent(webjob.OnOrder, webjob.Client{})
	event.Order, event.Job, event.Version, event.Arguments = o.ID, o.Job, o.Version, o.Arguments
	event.State, event.Counts = o.State, o.Counts
	return s.deliveries(event, webjob.Subject{})
}

// Close stores the last-seen times and closes the store.
func (s *Server) Close(ctx context.Context) error {
	return errors.Join(s.sightings.flush(ctx), s.chains.flush(ctx), s.store.Close())
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
