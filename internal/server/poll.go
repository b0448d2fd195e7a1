package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/wire"
)

// handlePoll holds an agent's request open until there is work for it.
//
// Tens of thousands of agents wait at any time, so a waiting one costs as little as
// can be: over HTTP/1.1 its connection is taken from the HTTP server, which would
// spend two goroutines and their stacks on it, and given back with the answer.
func (s *Server) handlePoll(w http.ResponseWriter, r *http.Request, client webjob.Client) error {
	var request wire.PollRequest
	if err := readJSON(r, &request); err != nil {
		return err
	}
	wait := time.Duration(request.WaitMS) * time.Millisecond
	switch {
	case request.WaitMS < 0 || wait > wire.MaxPollWait:
		return webjob.Errorf(webjob.Invalid, "wait_ms is %d; it must be 0 to %d", request.WaitMS, wire.MaxPollWait.Milliseconds())
	case request.Free < 0 || request.Free > wire.MaxKnownRuns || len(request.Known) > wire.MaxKnownRuns:
		return webjob.Errorf(webjob.Invalid, "an agent has at most %d runs at once", wire.MaxKnownRuns)
	}
	if s.effective(client, "").Paused != request.Paused {
		wait = 0
	}
	ticket := s.chains.next(client.ID, lineAgent, request.Ticket, r.RemoteAddr)
	waiting := &waiter{ticket: ticket, client: client, free: int(request.Free), known: request.Known, standing: request.Standing}
	if conn := s.park(w, r); conn != nil {
		return s.holdParked(r, conn, waiting, wait)
	}
	return s.holdBlocking(w, r, waiting, wait)
}

// pollAnswer makes the answer of what was found.
func (s *Server) pollAnswer(client webjob.Client, ticket string, found work) wire.PollResponse {
	response := wire.PollResponse{Ticket: ticket, Repository: s.repository.timestamp(), Cancel: found.cancel, Change: found.change, Paused: s.effective(client, "").Paused, Time: now()}
	if found.change {
		response.Standing = found.standing
	}
	for _, r := range found.runs {
		response.Offers = append(response.Offers, wire.Offer{Run: r.run, At: r.at, Order: r.order.status.Envelope})
	}
	return response
}

// holdBlocking waits in the handler, where a connection cannot be taken.
func (s *Server) holdBlocking(w http.ResponseWriter, r *http.Request, waiting *waiter, wait time.Duration) error {
	answer := make(chan work, 1)
	dropped := make(chan struct{})
	waiting.answer = func(found work) { answer <- found }
	waiting.drop = func() { close(dropped) }
	s.metrics.polls.Inc()
	defer s.metrics.polls.Dec()
	if err := s.dispatcher.hold(r.Context(), waiting, wait); err != nil {
		return err
	}
	select {
	case found := <-answer:
		if len(found.runs) == 0 {
			quiet(r)
		}
		return writeJSON(w, http.StatusOK, s.pollAnswer(waiting.client, waiting.ticket, found))
	case <-dropped:
		return webjob.Errorf(webjob.Refused, "client %s is shut out", waiting.client.ID)
	case <-left(r.Context()):
		s.dispatcher.release(waiting)
		quiet(r)
		return nil
	}
}

// parked is a connection that was taken from the HTTP server.
type parked struct {
	net.Conn
	back func(net.Conn) // gives it back
}

// park takes a request's connection. It returns nil when it cannot be taken.
func (s *Server) park(w http.ResponseWriter, r *http.Request) *parked {
	back, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok || r.ProtoMajor != 1 || r.Close {
		return nil
	}
	give := s.returns.to(back)
	if give == nil {
		return nil
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil
	}
	if buffered.Reader.Buffered() > 0 { // a peer that talks while it should wait
		_ = conn.Close()
	}
	return &parked{Conn: conn, back: give}
}

// holdParked holds the poll without a goroutine.
func (s *Server) holdParked(r *http.Request, conn *parked, waiting *waiter, wait time.Duration) error {
	skip(r)
	start, remote := time.Now(), r.RemoteAddr
	s.metrics.polls.Inc()
	client, ticket := waiting.client, waiting.ticket
	waiting.answer = func(found work) {
		s.metrics.polls.Dec()
		err := conn.write(s.pollAnswer(client, ticket, found))
		s.logPoll(client, remote, found, time.Since(start), err)
	}
	waiting.drop = func() {
		s.metrics.polls.Dec()
		closeNow(conn.Conn)
	}
	if err := s.dispatcher.hold(r.Context(), waiting, wait); err != nil {
		s.metrics.polls.Dec()
		closeNow(conn.Conn)
		s.log.Error("a poll could not be held", "client", client.ID, "error", err)
	}
	return nil
}

// closeNow closes without the goodbye of TLS, for which a hostile peer could keep us
// waiting.
func closeNow(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	_ = conn.Close() // it is over either way
}

// write answers the request and gives the connection back for the next one.
func (p *parked) write(response wire.PollResponse) error {
	body, err := json.Marshal(response)
	if err != nil {
		return errors.Join(err, p.Close())
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\nDate: %s\r\n\r\n", wire.ContentTypeJSON, len(body)+1, time.Now().UTC().Format(http.TimeFormat))
	b.Write(body)
	b.WriteByte('\n')
	err = p.SetWriteDeadline(time.Now().Add(stallTimeout))
	if err == nil {
		_, err = p.Write(b.Bytes())
	}
	if err == nil {
		err = p.SetDeadline(time.Time{})
	}
	if err != nil {
		closeNow(p.Conn)
		return err
	}
	p.back(p.Conn)
	return nil
}

// logPoll writes the access line of a poll that was held without a goroutine.
func (s *Server) logPoll(client webjob.Client, remote string, found work, took time.Duration, err error) {
	level := slog.LevelDebug
	attributes := []slog.Attr{
		slog.String("listener", "endpoint"), slog.String("method", http.MethodPost), slog.String("path", wire.PathPoll), slog.Int("status", http.StatusOK),
		slog.Duration("took", took.Round(time.Microsecond)), slog.String("remote", remote), slog.String("client", client.ID),
	}
	for _, r := range found.runs {
		level = slog.LevelInfo
		attributes = append(attributes, slog.String("run", r.run))
	}
	if err != nil {
		attributes = append(attributes, slog.String("error", err.Error()))
	}
	s.metrics.request("endpoint", "POST "+wire.PathPoll, http.StatusOK, took)
	s.log.LogAttrs(context.Background(), level, "request", attributes...)
}

// shutOut cuts a client off, in the middle of whatever it does.
func (s *Server) shutOut(client string) {
	s.dispatcher.cut(client)
	s.connections.cut(client)
}

// handleFacts keeps what an agent says about its machine.
func (s *Server) handleFacts(w http.ResponseWriter, r *http.Request, client webjob.Client) error {
	var facts webjob.Facts
	if err := readJSON(r, &facts); err != nil {
		return err
	}
	if err := facts.Check(); err != nil {
		return err
	}
	facts.Booted = facts.Booted.UTC().Truncate(time.Second)
	if client.Facts == nil || !reflect.DeepEqual(*client.Facts, facts) {
		if err := s.store.SetFacts(r.Context(), client.ID, facts); err != nil {
			return err
		}
		if err := s.joinOrders(r.Context(), client.ID); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// handleBegin asks the hooks whether a run may begin, and hands over what they have
// for it.
func (s *Server) handleBegin(w http.ResponseWriter, r *http.Request, client webjob.Client) error {
	var request wire.BeginRequest
	if err := readJSON(r, &request); err != nil {
		return err
	}
	for _, err := range []error{webjob.CheckRunID(request.Run), webjob.CheckJobName(request.Job)} {
		if err != nil {
			return err
		}
	}
	if request.Order != "" {
		if err := webjob.CheckOrderID(request.Order); err != nil {
			return err
		}
	}
	if err := s.checkAccess(client, request.Job, r.RemoteAddr); err != nil {
		return err
	}
	note(r, slog.String("job", request.Job), slog.String("run", request.Run))
	event := newEvent(webjob.OnRun, client)
	event.Job, event.Version, event.Run, event.Order, event.Arguments = request.Job, request.Version, request.Run, request.Order, request.Arguments
	said, err := s.ask(r.Context(), event, client)
	if err != nil {
		return err
	}
	if len(said.notes) > 0 {
		if err := s.store.AddNotes(r.Context(), request.Run, said.notes); err != nil {
			return err
		}
	}
	return writeJSON(w, http.StatusOK, wire.BeginResponse{Data: said.data})
}
