package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// repositoryRoutes are the requests about the job repository.
func (s *Server) repositoryRoutes() map[string]func(http.ResponseWriter, *http.Request, webjob.Operator) error {
	return map[string]func(http.ResponseWriter, *http.Request, webjob.Operator) error{
		"POST " + api.PathRepositoryState:          s.handleRepositoryState,
		"POST " + api.PathDrafts:                   s.handlePropose,
		"POST " + api.PathDrafts + "/{id}":         s.handleSignDraft,
		"DELETE " + api.PathDrafts + "/{id}":       s.handleDropDraft,
		"POST " + api.PathOrders + "/{id}/approve": s.handleApprove,
	}
}

func (s *Server) handleRepositoryState(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	var request wire.RepositoryRequest
	if err := readJSON(r, &request); err != nil {
		return err
	}
	state, err := s.repository.state(request.Have)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, state)
}

func readDraft(r *http.Request) (*trust.Draft, error) {
	var request api.DraftRequest
	if err := readJSONUpTo(r, &request, api.MaxDraftBytes); err != nil {
		return nil, err
	}
	var d trust.Draft
	if err := json.Unmarshal(request.Draft, &d); err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "draft is not readable: %w", err)
	}
	return &d, nil
}

func (s *Server) handlePropose(w http.ResponseWriter, r *http.Request, operator webjob.Operator) error {
	d, err := readDraft(r)
	if err != nil {
		return err
	}
	s.blobUse.RLock()
	defer s.blobUse.RUnlock()
	if err := s.checkPayloads(r.Context(), d); err != nil {
		return err
	}
	result, err := s.repository.propose(r.Context(), d, operator.Name)
	if err != nil {
		return err
	}
	return s.afterDraft(w, r, result)
}

func (s *Server) handleSignDraft(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	d, err := readDraft(r)
	if err != nil {
		return err
	}
	s.blobUse.RLock()
	defer s.blobUse.RUnlock()
	waiting, err := s.repository.draft(r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := s.checkPayloads(r.Context(), waiting); err != nil {
		return err
	}
	result, err := s.repository.sign(r.Context(), r.PathValue("id"), d)
	if err != nil {
		return err
	}
	return s.afterDraft(w, r, result)
}

func (s *Server) handleDropDraft(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	if err := s.repository.drop(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// afterDraft carries out what a landing means elsewhere, and answers.
func (s *Server) afterDraft(w http.ResponseWriter, r *http.Request, result landed) error {
	note(r, slog.String("draft", result.draft.ID), slog.Bool("landed", result.complete))
	response := api.DraftResponse{ID: result.draft.ID, Landed: result.complete}
	for _, need := range result.needs {
		response.Missing = max(response.Missing, int64(need.Missing()))
	}
	if result.complete {
		s.log.Info("job repository changed", "draft", result.draft.ID, "what", result.draft.Summary, "by", result.draft.By, "timestamp", s.repository.timestamp())
	}
	for client := range result.labels {
		s.dispatcher.restart(client) // before the orders: it is to know its labels when it gets one
		if err := s.joinOrders(r.Context(), client); err != nil && webjob.KindOf(err) != webjob.NotFound {
			return err
		}
	}
	return writeJSON(w, http.StatusCreated, response)
}

// checkPayloads makes sure that the payloads of new versions were uploaded.
func (s *Server) checkPayloads(ctx context.Context, d *trust.Draft) error {
	for _, text := range d.Manifests {
		m, err := trust.ParseManifest(text, webjob.DigestOf(text), now())
		if err != nil {
			return err
		}
		for _, p := range m.Payloads {
			if err := s.checkPayload(ctx, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// handleApprove adds signatures to an order.
func (s *Server) handleApprove(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	var request api.OrderRequest
	if err := readJSON(r, &request); err != nil {
		return err
	}
	o, err := s.Approve(r.Context(), r.PathValue("id"), request.Envelope)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, o)
}

// handleSync gives a client what it lacks of the job repository.
func (s *Server) handleSync(w http.ResponseWriter, r *http.Request, client webjob.Client) error {
	var request wire.RepositoryRequest
	if err := readJSON(r, &request); err != nil {
		return err
	}
	paths := []string{trust.PolicyPath, trust.ClientPath(client.ID)}
	if len(request.Jobs) > wire.MaxKnownRuns {
		return webjob.Errorf(webjob.Invalid, "%d jobs; at most %d at once", len(request.Jobs), wire.MaxKnownRuns)
	}
	for _, job := range request.Jobs {
		if err := webjob.CheckJobName(job); err != nil {
			return err
		}
		paths = append(paths, trust.JobPath(job))
	}
	bundle, err := s.repository.bundle(request.Have, paths...)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, bundle)
}

// handleRepositoryFile serves single files, as tools for The Update Framework expect.
func (s *Server) handleRepositoryFile(w http.ResponseWriter, r *http.Request, _ webjob.Client) error {
	content, err := s.repository.file(r.PathValue("file"))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err = w.Write(content); err != nil { //nolint:gosec // it is JSON, for programs
		s.log.Debug("a client left", "error", err)
	}
	return nil
}
