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

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
)

// Bounds of every connection, beside those of http.go.
const (
	headerTimeout  = 30 * time.Second // and of a handshake: many may come at once
	idleTimeout    = 3 * time.Minute
	maxHeaderBytes = 32 << 10
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

	if err := s.blobs.Recover(ctx); err != nil {
		return err
	}
	if err := s.loadOrders(ctx); err != nil {
		return err
	}
	if err := s.publishRevocations(ctx); err != nil {
		return err
	}
	certificate, err := s.serverCertificate()
	if err != nil {
		return err
	}
	serverTLS := trust.ServerTLS(certificate, s.authority.All()...)
	listeners := []listener{
		{name: "endpoint", address: s.settings.Endpoint.Listen, handler: s.EndpointHandler(), tls: serverTLS},
		{name: "operator", address: s.settings.Operator.Listen, handler: s.OperatorHandler(), tls: serverTLS},
		{name: "telemetry", address: s.settings.Telemetry.Listen, handler: s.TelemetryHandler()},
	}
	return s.run(ctx, listeners)
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
			l.tls, l.socket = config, s.returns.listen(tls.NewListener(corkListener{socket}, config))
		}
		l.server = &http.Server{
			Handler:           l.handler,
			TLSConfig:         l.tls.Clone(), // each server writes its own protocols into it
			ReadHeaderTimeout: headerTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			ErrorLog:          slog.NewLogLogger(s.log.With("listener", l.name).Handler(), slog.LevelInfo),
		}
	}
	s.connections.watch(listeners[0].server)
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var work sync.WaitGroup
	work.Go(func() { s.outbox.Run(background) })
	work.Go(func() { s.dispatcher.run(background, s.allClients) })
	work.Go(func() { s.dispatcher.serveWoken(background) })
	work.Go(func() { s.housekeep(background) })
	work.Go(func() { s.repository.keepFresh(background) })
	work.Go(func() {
		s.sightings.run(background, func(err error) { s.log.Warn("last-seen times were not stored", "error", err) })
	})
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
	s.dispatcher.close()
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
