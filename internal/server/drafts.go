package server

import (
	"encoding/json"
	"log/slog"
	"net/http"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/access"
	"webjob.dev/webjob/internal/publish"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// repositoryHandlers translate the requests about the job repository.
type repositoryHandlers struct{ *Server }

func (s repositoryHandlers) handleRepositoryState(w http.ResponseWriter, r *http.Request, _ *access.Actor) error {
	var request wire.RepositoryRequest
	if err := readJSON(r, &request); err != nil {
		return err
	}
	state, err := s.repository.State(request.Have)
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
	if r.PathValue("id") == "" { // it has no id yet
		webjob.About(r.Context(), bounded(d.Summary))
	}
	return &d, nil
}

func (s repositoryHandlers) handlePropose(w http.ResponseWriter, r *http.Request, a *access.Actor) error {
	d, err := readDraft(r)
	if err != nil {
		return err
	}
	result, err := s.repository.Propose(r.Context(), d, a.Name)
	if err != nil {
		return err
	}
	return s.afterDraft(w, r, result)
}

func (s repositoryHandlers) handleSignDraft(w http.ResponseWriter, r *http.Request, _ *access.Actor) error {
	d, err := readDraft(r)
	if err != nil {
		return err
	}
	result, err := s.repository.Sign(r.Context(), r.PathValue("id"), d)
	if err != nil {
		return err
	}
	return s.afterDraft(w, r, result)
}

func (s repositoryHandlers) handleDropDraft(w http.ResponseWriter, r *http.Request, _ *access.Actor) error {
	if err := s.repository.Drop(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// afterDraft carries out what a draft that is in effect means elsewhere, and answers.
func (s repositoryHandlers) afterDraft(w http.ResponseWriter, r *http.Request, result publish.Outcome) error {
	note(r, slog.String("draft", result.Draft.ID), slog.Bool("accepted", result.Accepted))
	response := api.DraftResponse{ID: result.Draft.ID, Accepted: result.Accepted}
	for _, need := range result.Needs {
		response.Missing = max(response.Missing, int64(need.Missing()))
	}
	for client := range result.Labels {
		s.dispatcher.Restart(client) // before the orders: it is to know its labels when it gets one
		if err := s.dispatcher.Join(r.Context(), client); err != nil && webjob.KindOf(err) != webjob.NotFound {
			return err
		}
	}
	return writeJSON(w, http.StatusCreated, response)
}

// handleSync gives a client what it lacks of the job repository.
func (s clientHandlers) handleSync(w http.ResponseWriter, r *http.Request, client webjob.Client) error {
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
	bundle, err := s.repository.Bundle(request.Have, paths...)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, bundle)
}

// handleRepositoryFile serves single files, as tools for The Update Framework expect.
func (s clientHandlers) handleRepositoryFile(w http.ResponseWriter, r *http.Request, _ webjob.Client) error {
	content, err := s.repository.File(r.PathValue("file"))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err = w.Write(content); err != nil { //nolint:gosec // it is JSON, for programs
		s.log.Debug("a client left", "error", err)
	}
	return nil
}
