package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"reflect"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/dispatch"
	"webjob.dev/webjob/internal/rules"
	"webjob.dev/webjob/internal/transport"
	"webjob.dev/webjob/wire"
)

// handlePoll holds an agent's request open until there is work for it. Tens of thousands of
// agents wait at any time, so a waiting one costs as little as can be: over HTTP/1.1 its
// connection is parked.
func (s clientHandlers) handlePoll(w http.ResponseWriter, r *http.Request, client webjob.Client) error {
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
	if s.rules.For(client, "").Paused != request.Paused {
		wait = 0
	}
	ticket, _, err := s.chains.next(w, r, client.ID, lineAgent, request.Ticket)
	if err != nil {
		return err
	}
	waiter := &dispatch.Waiter{Client: client, Free: int(request.Free), Known: request.Known, Standing: request.Standing}
	if parked := transport.Park(w, r); parked != nil {
		s.holdParked(r, parked, waiter, ticket, wait)
		return nil
	}
	return s.holdBlocking(w, r, waiter, ticket, wait)
}

// pollAnswer makes the answer of what was found.
func (s clientHandlers) pollAnswer(client webjob.Client, ticket string, found dispatch.Work) wire.PollResponse {
	response := wire.PollResponse{
		Ticket: ticket, Repository: s.repository.Timestamp(), Offers: found.Offers, Cancel: found.Cancel, Change: found.Change,
		Paused: s.rules.For(client, "").Paused, Time: now(),
	}
	if found.Change {
		response.Standing = found.Standing
	}
	return response
}

// wait has a poll wait. Who was shut out before it waited was not cut off by that.
func (s clientHandlers) wait(ctx context.Context, waiter *dispatch.Waiter, wait time.Duration) error {
	if err := s.dispatcher.Wait(ctx, waiter, wait); err != nil {
		return err
	}
	if _, err := s.identity.Client(ctx, waiter.Client.ID, waiter.Client.Key); err != nil {
		s.dispatcher.Cut(waiter.Client.ID)
	}
	return nil
}

// holdBlocking waits in the handler, where a connection cannot be parked.
func (s clientHandlers) holdBlocking(w http.ResponseWriter, r *http.Request, waiter *dispatch.Waiter, ticket string, wait time.Duration) error {
	answer := make(chan dispatch.Work, 1)
	dropped := make(chan struct{})
	waiter.Answer = func(found dispatch.Work) { answer <- found }
	waiter.Drop = func() { close(dropped) }
	s.metrics.polls.Inc()
	defer s.metrics.polls.Dec()
	if err := s.wait(r.Context(), waiter, wait); err != nil {
		return err
	}
	select {
	case found := <-answer:
		if len(found.Offers) == 0 {
			quiet(r)
		}
		return writeJSON(w, http.StatusOK, s.pollAnswer(waiter.Client, ticket, found))
	case <-dropped:
		return webjob.Errorf(webjob.Refused, "client %s is shut out", waiter.Client.ID)
	case <-transport.Departed(r.Context()):
		s.dispatcher.Leave(waiter)
		quiet(r)
		return nil
	}
}

// holdParked holds the poll without a goroutine.
func (s clientHandlers) holdParked(r *http.Request, parked *transport.Parked, waiter *dispatch.Waiter, ticket string, wait time.Duration) {
	skip(r)
	start, remote := time.Now(), r.RemoteAddr
	s.metrics.polls.Inc()
	client := waiter.Client
	waiter.Answer = func(found dispatch.Work) {
		s.metrics.polls.Dec()
		body, err := json.Marshal(s.pollAnswer(client, ticket, found))
		if err == nil {
			err = parked.Answer(wire.ContentTypeJSON, append(body, '\n'))
		}
		s.logPoll(client, remote, found, time.Since(start), err)
	}
	waiter.Drop = func() {
		s.metrics.polls.Dec()
		parked.Drop()
	}
	if err := s.wait(r.Context(), waiter, wait); err != nil {
		s.metrics.polls.Dec()
		parked.Drop()
		s.log.Error("a poll could not be held", "client", client.ID, "error", err)
		return
	}
	parked.OnDeparture(func() {
		if s.dispatcher.Leave(waiter) {
			s.metrics.polls.Dec()
		}
	})
}

// logPoll writes the access line of a poll that was held without a goroutine.
func (s clientHandlers) logPoll(client webjob.Client, remote string, found dispatch.Work, took time.Duration, err error) {
	level := slog.LevelDebug
	attributes := []slog.Attr{
		slog.String("listener", "endpoint"), slog.String("method", http.MethodPost), slog.String("path", wire.PathPoll), slog.Int("status", http.StatusOK),
		slog.Duration("took", took.Round(time.Microsecond)), slog.String("remote", remote), slog.String("client", client.ID),
	}
	for _, offer := range found.Offers {
		level = slog.LevelInfo
		attributes = append(attributes, slog.String("run", offer.Run))
	}
	if err != nil {
		attributes = append(attributes, slog.String("error", err.Error()))
	}
	s.metrics.request("endpoint", "POST "+wire.PathPoll, http.StatusOK, took)
	s.log.LogAttrs(context.Background(), level, "request", attributes...)
}

// shutOut cuts a client off, in the middle of whatever it does.
func (s *Server) shutOut(client string) {
	s.dispatcher.Cut(client)
	s.connections.Cut(client)
}

// handleFacts keeps what an agent says about its machine.
func (s clientHandlers) handleFacts(w http.ResponseWriter, r *http.Request, client webjob.Client) error {
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
		if err := s.dispatcher.Join(r.Context(), client.ID); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// handleBegin asks the hooks whether a run may begin, and hands over what they have
// for it.
func (s clientHandlers) handleBegin(w http.ResponseWriter, r *http.Request, client webjob.Client) error {
	var request wire.BeginRequest
	if err := readJSON(r, &request); err != nil {
		return err
	}
	for _, err := range []error{webjob.CheckRunID(request.Run), webjob.CheckRunOwner(request.Run, client.ID), webjob.CheckJobName(request.Job)} {
		if err != nil {
			return err
		}
	}
	if request.Order != "" {
		if err := webjob.CheckOrderID(request.Order); err != nil {
			return err
		}
	}
	if err := s.rules.CheckAccess(client, request.Job, r.RemoteAddr); err != nil {
		return err
	}
	note(r, slog.String("job", request.Job), slog.String("run", request.Run))
	event := rules.NewEvent(webjob.OnRun, client)
	event.Job, event.Version, event.Run, event.Order, event.Arguments = request.Job, request.Version, request.Run, request.Order, request.Arguments
	said, err := s.rules.Ask(r.Context(), event, client)
	if err != nil {
		return err
	}
	if len(said.Notes) > 0 {
		if err := s.store.AddNotes(r.Context(), client.ID, request.Run, said.Notes); err != nil {
			return err
		}
	}
	return writeJSON(w, http.StatusOK, wire.BeginResponse{Data: said.Data})
}
