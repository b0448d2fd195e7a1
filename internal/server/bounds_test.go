package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/server"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// padded is JSON of so many bytes.
func padded(t *testing.T, v any, size int) []byte {
	text := encode(t, v)
	return append(text, strings.Repeat(" ", size-len(text))...)
}

// Who has not shown who it is can have little held in memory.
func TestStrangersSayLittle(t *testing.T) {
	w := newWorld(t)
	stranger := httpClient(trust.ClientTLS(tls.Certificate{}, w.ca.Certificate))
	for _, path := range []string{wire.PathEnroll, wire.PathRenew} {
		for size, want := range map[int]bool{30 << 10: false, 40 << 10: true} {
			response, err := stranger.Post(w.endpoint.URL+path, wire.ContentTypeJSON, bytes.NewReader(padded(t, struct{}{}, size)))
			must(t, err)
			_ = response.Body.Close()
			if got := response.StatusCode == http.StatusRequestEntityTooLarge; got != want {
				t.Errorf("%s with %d bytes: status %d", path, size, response.StatusCode)
			}
		}
	}
}

// Large requests of one client wait for each other, and for nobody else's.
func TestLargeRequestsTakePlaces(t *testing.T) {
	w := newWorld(t)
	web1, web2 := w.client("web1"), w.client("web2")
	tell := func(ctx context.Context, config *tls.Config, size int) error {
		body := padded(t, webjob.Facts{OS: "linux", Arch: "amd64"}, size)
		request, err := http.NewRequestWithContext(ctx, http.MethodPut, w.endpoint.URL+wire.PathFacts, bytes.NewReader(body))
		must(t, err)
		response, err := httpClient(config).Do(request)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(response.Body)
		if response.StatusCode != http.StatusNoContent {
			t.Errorf("%d %s", response.StatusCode, text)
		}
		return errors.Join(err, response.Body.Close())
	}
	var leave func()
	for range 16 { // all of its own
		var err error
		leave, err = server.TakeLarge(t.Context(), w.server, "web1")
		must(t, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := tell(ctx, web1, 100<<10); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a large request took no place: %v", err)
	}
	must(t, tell(t.Context(), web1, 1<<10))
	must(t, tell(t.Context(), web2, 100<<10))
	leave()
	must(t, tell(t.Context(), web1, 100<<10))
}

// A connection of HTTP/2 carries few requests at once.
func TestStreamsAreBounded(t *testing.T) {
	const bound = 16
	var connections atomic.Int64
	release, arrived := make(chan struct{}), make(chan struct{}, bound+1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("a request of %s", r.Proto)
		}
		arrived <- struct{}{}
		<-release
	}))
	s.EnableHTTP2 = true
	server.WithBounds(s.Config)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.StartTLS()
	defer s.Close()
	done := make(chan error, bound+1)
	ask := func() {
		response, err := s.Client().Get(s.URL)
		if err == nil {
			err = response.Body.Close()
		}
		done <- err
	}
	for range bound + 1 { // one after another, so that they share connections
		go ask()
		<-arrived
	}
	if n := connections.Load(); n != 2 {
		t.Errorf("%d requests at once over %d connections, want 2", bound+1, n)
	}
	close(release)
	for range bound + 1 {
		must(t, <-done)
	}
}
