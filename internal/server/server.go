package server

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/audit"
	"webjob.dev/webjob/internal/dispatch"
	"webjob.dev/webjob/internal/hook"
	"webjob.dev/webjob/internal/identity"
	"webjob.dev/webjob/internal/publish"
	"webjob.dev/webjob/internal/results"
	"webjob.dev/webjob/internal/rules"
	"webjob.dev/webjob/internal/transport"
	"webjob.dev/webjob/internal/trust"
)

// Server wires the rooms. Make one with [Open] from a folder.
type Server struct {
	store     webjob.Store
	blobs     webjob.Blobs
	authority *trust.Authority
	// certificate is the server's own, from the moment it serves.
	certificate *identity.OwnCertificate
	settings    *Settings
	log         *slog.Logger
	name        string // of this server among those that share a store
	metrics     *metrics
	sightings   *sightings

	rules       *rules.Rules
	repository  *publish.Repository
	jobs        *publish.Jobs
	dispatcher  *dispatch.Dispatcher
	identity    *identity.Room
	record      record
	chains      *chains
	results     *results.Keeper
	courier     *hook.Courier
	connections *transport.Connections // of clients
	operators   *transport.Connections

	uploads    *transport.Places // for results being received
	resumables *transport.Places // for uploads being received
	large      *transport.Places // for JSON that is not small
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
	authority, err := settings.identityFolder().Load()
	if err != nil {
		return nil, err
	}
	authority.Lifetime = time.Duration(settings.Clients.Certificate)
	set, err := readRules(settings)
	if err != nil {
		return nil, err
	}
	online, err := loadOnlineKey(settings.dir)
	if err != nil {
		return nil, err
	}
	backends, err := open(ctx, settings.path(metadataFile), settings.path(blobsFolder))
	if err != nil {
		return nil, err
	}
	s := &Server{
		store: backends.Store, blobs: backends.Blobs, authority: authority, settings: settings, log: log,
		metrics: newMetrics(), sightings: newSightings(backends.Store), connections: transport.NewConnections(), operators: transport.NewConnections(),
		record:     record{audit.New(backends.Store), log},
		uploads:    transport.NewPlaces("receiving results", maxUploads),
		resumables: transport.NewPlaces("receiving uploads", maxResumables),
		large:      transport.NewPlaces("reading large requests", maxLargeJSON),
	}
	if err := s.wire(ctx, online, set); err != nil {
		return nil, errors.Join(err, backends.Store.Close())
	}
	return s, nil
}

// wire makes the rooms and tells them of their neighbours.
func (s *Server) wire(ctx context.Context, online *trust.PrivateKey, set *rules.Set) error {
	s.rules = &rules.Rules{
		Places: transport.NewPlaces("asking hooks", maxAsking), Log: s.log,
		Asked: func(hook, answer string) { s.metrics.hooks.WithLabelValues(hook, answer).Inc() },
	}
	s.rules.Use(set)
	s.courier = hook.NewCourier(s.store, s.rules.Trigger, s.log, s.metrics.delivered)
	var err error
	if s.repository, err = publish.Open(ctx, s.store, s.blobs, online, s.log); err != nil {
		return err
	}
	if s.jobs, err = publish.NewJobs(s.store, s.blobs, s.rules, s.courier.Wake); err != nil {
		return err
	}
	s.dispatcher = dispatch.New(dispatch.Neighbours{
		Store: s.store, Policy: s.repository.Policy, News: s.orderEnded, Wake: s.courier.Wake, Log: s.log,
	})
	s.results = results.New(results.Neighbours{
		Store: s.store, Blobs: s.blobs, Rules: s.rules, Orders: s.dispatcher, Wake: s.courier.Wake, Received: s.metrics.received, Log: s.log,
	}, int64(s.settings.Endpoint.MaxResult))
	secret, err := online.PrivatePEM()
	if err != nil {
		return err
	}
	if s.chains, err = newChains(ctx, secret, s.store, s.settings.Clients.OnClone == "suspend"); err != nil {
		return err
	}
	s.identity = identity.New(s.identityNeighbours())
	s.chains.notify = func(clone webjob.Clone) {
		s.metrics.clones.Inc()
		s.identity.Cloned(context.Background(), clone)
	}
	return nil
}

func (s *Server) identityNeighbours() identity.Neighbours {
	return identity.Neighbours{
		Store: s.store, Authority: s.authority,
		Roots: func() ([][]byte, error) {
			current, _, err := s.repository.Published()
			return current.Roots, err
		},
		AllowClient:   func(c webjob.Client, remote string) error { return s.rules.CheckAccess(c, "", remote) },
		AllowOperator: s.rules.CheckLogin,
		Enrolled: func(c webjob.Client) []webjob.Delivery {
			return s.rules.Deliveries(rules.NewEvent(webjob.OnEnroll, c), c.Subject())
		},
		ClonedNews: func(c webjob.Client, clone webjob.Clone) []webjob.Delivery {
			event := rules.NewEvent(webjob.OnClone, c)
			event.Reason, event.Address, event.OtherAddress, event.LastSeen = clone.Reason, clone.Address, clone.OtherAddress, clone.OtherAt
			return s.rules.Deliveries(event, c.Subject())
		},
		Wake: s.courier.Wake, Join: s.dispatcher.Join, CutClient: s.shutOut, CutOperator: s.operators.Cut, ForgetTickets: s.chains.forget,
		Publish: s.settings.identityFolder().WriteRevocations, SuspendClones: s.settings.Clients.OnClone == "suspend", Log: s.log,
	}
}

func loadOnlineKey(dir string) (*trust.PrivateKey, error) {
	text, err := readFile(filepath.Join(dir, onlineKeyFile))
	if err != nil {
		return nil, err
	}
	key, err := trust.ParsePrivateKey(text)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%s: %w; restore it from a backup", filepath.Join(dir, onlineKeyFile), err)
	}
	return key, nil
}

// orderEnded returns what triggers are told of the end of an order.
func (s *Server) orderEnded(o webjob.OrderStatus) []webjob.Delivery {
	event := rules.NewEvent(webjob.OnOrder, webjob.Client{})
	event.Order, event.Job, event.Version, event.Arguments = o.ID, o.Job, o.Version, o.Arguments
	event.State, event.Counts = o.State, o.Counts
	return s.rules.Deliveries(event, webjob.Subject{})
}

// Close stores what is kept in memory and closes the store.
func (s *Server) Close(ctx context.Context) error {
	return errors.Join(s.sightings.flush(ctx), s.chains.flush(ctx), s.record.Close(ctx, now()), s.store.Close())
}

// now is the time that is stored: UTC, to the microsecond.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
