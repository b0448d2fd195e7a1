package server

import (
	"context"
	"log/slog"
	"net/http"
	"reflect"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/wire"
)

// handlePoll holds an agent's request open until there is work for it.
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
	response, err := s.Poll(r.Context(), client, r.RemoteAddr, request, wait)
	if err != nil {
		return err
	}
	if len(response.Offers) == 0 {
		quiet(r)
	}
	for _, offer := range response.Offers {
		note(r, slog.String("run", offer.Run))
	}
	return writeJSON(w, http.StatusOK, response)
}

// Poll waits for work for a client. While it waits, a change of what holds for the
// client ends it: it is asked again whether the client may be here at all.
func (s *Server) Poll(ctx context.Context, client webjob.Client, remote string, request wire.PollRequest, wait time.Duration) (wire.PollResponse, error) {
	var response wire.PollResponse
	if s.effective(client, "").Paused != request.Paused {
		wait = 0
	}
	s.metrics.polls.Inc()
	defer s.metrics.polls.Dec()
	found, err := s.dispatcher.poll(ctx, client.ID, int(request.Free), request.Known, request.Standing, wait)
	if err != nil {
		return response, webjob.Errorf(webjob.Unavailable, "the poll was cut: %w", err)
	}
	if client, err = s.store.Client(ctx, client.ID); err != nil {
		return response, err
	}
	if err := s.checkAccess(client, "", remote); err != nil {
		return response, err
	}
	response.Labels = client.Labels
	response.Cancel, response.Change, response.Standing = found.cancel, found.change, found.standing
	if !found.change {
		response.Standing = nil
	}
	for _, r := range found.runs {
		response.Offers = append(response.Offers, wire.Offer{Run: r.run, At: r.at, Order: r.order.status.Envelope})
	}
	response.Paused = s.effective(client, "").Paused
	response.Time = now()
	return response, nil
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
