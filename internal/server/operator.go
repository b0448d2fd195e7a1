package server

import (
	"net/http"
	"strconv"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/access"
)

// operatorHandlers translate the requests of operators.
type operatorHandlers struct{ scope }

func (s operatorHandlers) handleServer(w http.ResponseWriter, _ *http.Request, _ *access.Actor) error {
	return writeJSON(w, http.StatusOK, api.ServerInfo{EndpointURL: s.settings.URL, Version: webjob.Version()})
}

func (s operatorHandlers) handleClients(w http.ResponseWriter, r *http.Request, a *access.Actor) error {
	page, err := api.DecodePage(r.URL.Query())
	if err != nil {
		return err
	}
	list := func(p webjob.Page) ([]webjob.Client, error) { return s.store.ListClients(r.Context(), p) }
	clients, next, err := seenPage(page, list, func(c webjob.Client) string { return c.ID }, a.Sees)
	if err != nil {
		return err
	}
	for i := range clients {
		clients[i] = s.withSighting(clients[i])
	}
	return writeJSON(w, http.StatusOK, api.List[webjob.Client]{Items: clients, Next: next})
}

func (s operatorHandlers) handleClient(w http.ResponseWriter, r *http.Request, a *access.Actor) error {
	client, err := s.store.Client(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := a.MayOn(webjob.MayView, client); err != nil {
		return err
	}
	storage, err := s.store.Storage(r.Context(), client.ID)
	if err != nil {
		return err
	}
	storage.Most = s.rules.MaxStored(client)
	client.Storage = &storage
	return writeJSON(w, http.StatusOK, s.withSighting(client))
}

func (s operatorHandlers) withSighting(c webjob.Client) webjob.Client {
	if last := s.sightings.last(c.ID); last.After(c.LastSeen) {
		c.LastSeen = last.UTC()
	}
	return c
}

func (s operatorHandlers) handlePutPayload(w http.ResponseWriter, r *http.Request, _ *access.Actor) error {
	d, err := webjob.ParseDigest(r.PathValue("digest"))
	if err != nil {
		return err
	}
	webjob.Describe(r.Context(), string(d), nil, map[string]any{"bytes": r.ContentLength})
	if err := s.repository.PutPayload(r.Context(), d, r.ContentLength, r.Body); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s operatorHandlers) handleHasPayload(w http.ResponseWriter, r *http.Request, _ *access.Actor) error {
	d, err := webjob.ParseDigest(r.PathValue("digest"))
	if err != nil {
		return err
	}
	has, err := s.repository.HasPayload(r.Context(), d)
	if err != nil {
		return err
	}
	if !has {
		return webjob.Errorf(webjob.NotFound, "payload %s is not here", d)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s operatorHandlers) handleGetPayload(w http.ResponseWriter, r *http.Request, _ *access.Actor) error {
	d, err := webjob.ParseDigest(r.PathValue("digest"))
	if err != nil {
		return err
	}
	webjob.Describe(r.Context(), string(d), nil, nil)
	content, err := s.repository.OpenPayload(r.Context(), d)
	if err != nil {
		return err
	}
	return sendContent(w, r, content)
}

func (s operatorHandlers) handleJobs(w http.ResponseWriter, r *http.Request, _ *access.Actor) error {
	page, err := api.DecodePage(r.URL.Query())
	if err != nil {
		return err
	}
	jobs, err := s.store.ListJobs(r.Context(), r.URL.Query().Get("name"), page)
	if err != nil {
		return err
	}
	return writeList(w, jobs, page, func(v webjob.JobVersion) string { return v.Name + "@" + strconv.FormatInt(v.Version, 10) })
}

func (s operatorHandlers) handleLatest(w http.ResponseWriter, r *http.Request, _ *access.Actor) error {
	latest, err := s.store.LatestVersion(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, api.LatestResponse{Version: latest})
}

func (s operatorHandlers) handleJobVersion(w http.ResponseWriter, r *http.Request, _ *access.Actor) error {
	version, err := parseVersion(r.PathValue("version"))
	if err != nil {
		return err
	}
	v, err := s.store.JobVersion(r.Context(), r.PathValue("name"), version)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, api.JobDetail{JobVersion: v, Text: v.Text})
}

// handleWithdraw answers programs from before withdrawals were signed.
func (s operatorHandlers) handleWithdraw(http.ResponseWriter, *http.Request, *access.Actor) error {
	return webjob.Errorf(webjob.Refused, "a version is withdrawn by signatures now, and this webjobctl is too old to propose that; nothing was withdrawn: update webjobctl")
}

func parseVersion(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > webjob.MaxVersion {
		return 0, webjob.Errorf(webjob.Invalid, "version %.40q is not a number from 1 to %d", text, int64(webjob.MaxVersion))
	}
	return n, nil
}

func (s operatorHandlers) handleResults(w http.ResponseWriter, r *http.Request, a *access.Actor) error {
	filter, err := api.DecodeResultFilter(r.URL.Query())
	if err != nil {
		return err
	}
	if filter.Client != "" {
		if err := s.mayOn(r.Context(), a, webjob.MayView, filter.Client); err != nil {
			return err
		}
	}
	list := func(p webjob.Page) ([]webjob.Result, error) {
		filter.Page = p
		return s.store.ListResults(r.Context(), filter)
	}
	sees := s.sees(r.Context(), a)
	results, next, err := seenPage(filter.Page, list, func(r webjob.Result) string { return strconv.FormatInt(r.Sequence, 10) },
		func(r webjob.Result) bool { return sees(r.Client) })
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, api.List[webjob.Result]{Items: results, Next: next})
}

// result returns a result that the actor may see.
func (s operatorHandlers) result(r *http.Request, a *access.Actor) (webjob.Result, error) {
	result, err := s.store.Result(r.Context(), r.PathValue("run"))
	if err != nil {
		return result, err
	}
	return result, s.mayOn(r.Context(), a, webjob.MayView, result.Client)
}

func (s operatorHandlers) handleGetResult(w http.ResponseWriter, r *http.Request, a *access.Actor) error {
	result, err := s.result(r, a)
	if err != nil {
		return err
	}
	notes, err := s.store.Notes(r.Context(), result.Run)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, api.ResultDetail{Result: result, Record: result.Record, Notes: notes})
}

func (s operatorHandlers) handlePart(w http.ResponseWriter, r *http.Request, a *access.Actor) error {
	result, err := s.result(r, a)
	if err != nil {
		return err
	}
	content, err := s.results.OpenPart(r.Context(), result.Run, r.PathValue("part"))
	if err != nil {
		return err
	}
	return sendContent(w, r, content)
}

// writeList writes one page. A full page has a next one, which may be empty.
func writeList[T any](w http.ResponseWriter, items []T, page webjob.Page, key func(T) string) error {
	list := api.List[T]{Items: items}
	if items == nil {
		list.Items = []T{}
	}
	if len(items) == page.Limit {
		list.Next = key(items[len(items)-1])
	}
	return writeJSON(w, http.StatusOK, list)
}
