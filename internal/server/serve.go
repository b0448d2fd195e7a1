package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/uuid"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/durable"
	"webjob.dev/webjob/internal/lease"
	"webjob.dev/webjob/internal/transport"
	"webjob.dev/webjob/internal/trust"
)

// Bounds of every connection, beside those of http.go.
const (
	headerTimeout  = 30 * time.Second // and of a handshake: many may come at once
	idleTimeout    = 3 * time.Minute
	maxHeaderBytes = 32 << 10
	maxStreams     = 16 // requests at once of one connection of HTTP/2
)

// Serve listens until ctx ends, then lets the requests under way finish. It
// returns nil after a clean end. One process at a time may serve a folder.
func (s *Server) Serve(ctx context.Context) error {
	lock := flock.New(s.settings.path(lockFile))
	locked, err := lock.TryLock()
	if err != nil {
		return webjob.Errorf(webjob.Unavailable, "lock %s: %w", lock.Path(), err)
	}
	if !locked {
		return webjob.Errorf(webjob.Conflict, "another webjobd serves %s; stop it first", s.settings.dir)
	}
	defer func() { _ = lock.Unlock() }() // the process ends anyway

	if s.name, err = serverName(s.settings); err != nil {
		return err
	}
	if err := s.blobs.Recover(ctx); err != nil {
		return err
	}
	if err := s.repository.HoldDrafts(ctx); err != nil {
		return err
	}
	if err := s.dispatcher.Load(ctx); err != nil {
		return err
	}
	if err := s.identity.Revocations.Renew(ctx); err != nil {
		return err
	}
	if err := s.warnOfClock(ctx, now()); err != nil {
		return err
	}
	if s.certificate, err = s.settings.identityFolder().Certificate(s.authority, s.log); err != nil {
		return err
	}
	serverTLS := trust.ServerTLS(s.certificate.Get, s.authority.All()...)
	listeners := []listener{
		{name: "endpoint", address: s.settings.Endpoint.Listen, handler: s.EndpointHandler(), tls: serverTLS},
		{name: "operator", address: s.settings.Operator.Listen, handler: s.OperatorHandler(), tls: serverTLS},
		{name: "telemetry", address: s.settings.Telemetry.Listen, handler: s.TelemetryHandler()},
	}
	return s.run(ctx, listeners)
}

// withBounds sets the other bounds of every connection of a server.
func withBounds(h *http.Server) *http.Server {
	h.IdleTimeout, h.MaxHeaderBytes = idleTimeout, maxHeaderBytes
	h.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: maxStreams}
	return h
}

type listener struct {
	name, address string
	handler       http.Handler
	tls           *tls.Config
	server        *http.Server
	socket        net.Listener
}

func (s *Server) run(ctx context.Context, listeners []listener) error {
	var config net.ListenConfig
	door := transport.NewDoor(transport.MostOpen())
	for i := range listeners {
		l := &listeners[i]
		socket, err := config.Listen(ctx, "tcp", l.address)
		if err != nil {
			for _, open := range listeners[:i] {
				err = errors.Join(err, open.socket.Close())
			}
			return webjob.Errorf(webjob.Unavailable, "%s listener: %w; choose another address in %s", l.name, err, s.settings.path(settingsFile))
		}
		l.socket = socket
		if l.tls != nil {
			config := l.tls.Clone()
			config.NextProtos = []string{"h2", "http/1.1"}
			l.tls, l.socket = config, transport.Listen(socket, door, config)
		}
		l.server = withBounds(&http.Server{
			Handler:           l.handler,
			TLSConfig:         l.tls.Clone(), // each server writes its own protocols into it
			ReadHeaderTimeout: headerTimeout,
			ErrorLog:          slog.NewLogLogger(s.log.With("listener", l.name).Handler(), slog.LevelInfo),
		})
	}
	s.connections.Watch(listeners[0].server)
	s.operators.Watch(listeners[1].server)
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var work sync.WaitGroup
	s.work(background, &work)
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		work.Go(func() { failed <- l.serve() })
	}
	s.log.Info("ready", "version", webjob.Version(), "endpoint", listeners[0].socket.Addr().String(),
		"operator", listeners[1].socket.Addr().String(), "telemetry", listeners[2].socket.Addr().String())
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	err = errors.Join(err, s.drain(listeners))
	stop()
	work.Wait()
	return err
}

// work starts what goes on beside the requests, until ctx ends: what every server does for
// itself, and what only one of those that share a store does.
func (s *Server) work(ctx context.Context, group *sync.WaitGroup) {
	group.Go(func() { s.dispatcher.Serve(ctx) })
	group.Go(func() { s.dispatcher.Refresh(ctx) })
	group.Go(func() {
		s.sightings.run(ctx, func(err error) { s.log.Warn("last-seen times were not stored", "error", err) })
	})
	holder := lease.Holder{Store: s.store, Name: s.name, Log: s.log}
	for name, work := range map[string]func(context.Context){
		"clock": s.dispatcher.KeepTime, "deliveries": s.courier.Run, "results": s.results.KeepHouse, "repository": s.repository.KeepFresh, "housekeeping": s.housekeep,
	} {
		group.Go(func() { holder.Run(ctx, name, work) })
	}
}

func (l listener) serve() error {
	err := l.server.Serve(l.socket)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return webjob.Errorf(webjob.Internal, "%s listener: %w", l.name, err)
}

// drain stops listening, waits for requests under way, and cuts those that take
// longer than the drain time. What was acknowledged before is durable already.
func (s *Server) drain(listeners []listener) error {
	s.draining.Store(true)
	s.dispatcher.Close()
	limit := time.Duration(s.settings.Shutdown.Drain)
	s.log.Info("stopping", "drain", limit)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	errs := make([]error, len(listeners))
	var work sync.WaitGroup
	for i, l := range listeners {
		work.Go(func() {
			if err := l.server.Shutdown(ctx); err != nil {
				s.log.Warn("requests were cut", "listener", l.name, "error", err)
				errs[i] = l.server.Close()
			}
		})
	}
	work.Wait()
	s.log.Info("stopped")
	return errors.Join(errs...)
}

// serverName returns the name by which this server takes leases, which is the same after a
// restart. It is made when it is not there.
func serverName(settings *Settings) (string, error) {
	text, err := readFile(settings.path(nameFile))
	if webjob.KindOf(err) == webjob.NotFound {
		text = []byte(uuid.NewString())
		err = durable.Write(settings.path(nameFile), text)
	}
	return string(text), err
}

// clockTolerance is how far in the future what is stored may lie before the clock is doubted.
const clockTolerance = time.Hour

// warnOfClock tells when what is stored is of a time to come: then the clock was wrong when
// it was stored, or is wrong now, and orders may have expired by it.
func (s *Server) warnOfClock(ctx context.Context, at time.Time) error {
	newest, err := s.store.NewestTime(ctx)
	if err != nil {
		return err
	}
	if ahead := newest.Sub(at); ahead > clockTolerance {
		s.log.Error("THE CLOCK IS OR WAS WRONG: the audit log or the results hold a time in the future. "+
			"Set the clock before this server goes on; what expired by a wrong clock, orders among it, stays expired and is to be ordered anew",
			slog.Time("newest", newest), slog.Time("now", at), slog.Duration("ahead", ahead.Round(time.Second)))
	}
	return nil
}
