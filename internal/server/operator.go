package server

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strconv"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/wire"
)

// operatorHandlers translate the requests of operators.
type operatorHandlers struct{ *Server }

// OperatorHandler serves operators: the interface that webjobctl uses.
func (s *Server) OperatorHandler() http.Handler {
	rt := s.routes("operator")
	o := operatorHandlers{s}
	rt.handle("POST "+api.PathLogin, o.handleLogin)
	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request, webjob.Operator) error{
		"GET " + api.PathServer:                                  o.handleServer,
		"POST " + api.PathTokens:                                 o.handleNewToken,
		"GET " + api.PathClients:                                 o.handleClients,
		"GET " + api.PathClients + "/{id}":                       o.handleClient,
		"POST " + api.PathClients + "/{id}/revoke":               o.handleRevoke,
		"PUT " + api.PathOperatorBlobs + "{digest}":              o.handlePutPayload,
		"HEAD " + api.PathOperatorBlobs + "{digest}":             o.handleHasPayload,
		"GET " + api.PathOperatorBlobs + "{digest}":              o.handleGetPayload,
		"GET " + api.PathOperatorJobs:                            o.handleJobs,
		"GET " + api.PathOperatorJobs + "/{name}/latest":         o.handleLatest,
		"GET " + api.PathOperatorJobs + "/{name}/{version}":      o.handleJobVersion,
		"POST " + api.PathOperatorJobs + "/{name}/withdraw":      o.handleWithdraw,
		"GET " + api.PathOperatorResults:                         o.handleResults,
		"GET " + api.PathOperatorResults + "/{run}":              o.handleGetResult,
		"GET " + api.PathOperatorResults + "/{run}/parts/{part}": o.handlePart,
	} {
		rt.handle(pattern, o.forOperator(h))
	}
	for pattern, h := range (repositoryHandlers{s}).repositoryRoutes() {
		rt.handle(pattern, o.forOperator(h))
	}
	for pattern, h := range (fleetHandlers{s}).fleetRoutes() {
		rt.handle(pattern, o.forOperator(h))
	}
	return rt.mux
}

func (s operatorHandlers) forOperator(h func(http.ResponseWriter, *http.Request, webjob.Operator) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		identity, key, err := authenticate(r, webjob.RoleOperator)
		if err != nil {
			return err
		}
		operator, err := s.store.Operator(r.Context(), identity.Name)
		switch {
		case webjob.KindOf(err) == webjob.NotFound:
			return webjob.Errorf(webjob.Refused, "operator %s is unknown here; log in again", identity.Name)
		case err != nil:
			return err
		case !operator.RevokedAt.IsZero() || operator.Key != key:
			return webjob.Errorf(webjob.Refused, "the certificate of operator %s no longer counts; log in again", identity.Name)
		}
		return h(w, r, operator)
	}
}

func (s operatorHandlers) handleLogin(w http.ResponseWriter, r *http.Request) error {
	var request wire.EnrollRequest
	if err := readJSON(r, &request); err != nil {
		return err
	}
	response, err := s.Login(r.Context(), request)
	if err != nil {
		return err
	}
	note(r, slog.String("operator", response.ID))
	return writeJSON(w, http.StatusCreated, response)
}

func (s operatorHandlers) handleServer(w http.ResponseWriter, _ *http.Request, _ webjob.Operator) error {
	return writeJSON(w, http.StatusOK, api.ServerInfo{EndpointURL: s.settings.URL, Version: webjob.Version()})
}

func (s operatorHandlers) handleNewToken(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	var request api.NewTokenRequest
	if err := readJSON(r, &request); err != nil {
		return err
	}
	token, err := s.NewToken(r.Context(), request)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, api.NewTokenResponse{Token: token})
}

func (s operatorHandlers) handleClients(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	page, err := api.DecodePage(r.URL.Query())
	if err != nil {
		return err
	}
	clients, err := s.store.ListClients(r.Context(), page)
	if err != nil {
		return err
	}
	for i := range clients {
		clients[i] = s.withSighting(clients[i])
	}
	return writeList(w, clients, page, func(c webjob.Client) string { return c.ID })
}

func (s operatorHandlers) handleClient(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	client, err := s.store.Client(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, s.withSighting(client))
}

func (s operatorHandlers) withSighting(c webjob.Client) webjob.Client {
	if last := s.sightings.last(c.ID); last.After(c.LastSeen) {
		c.LastSeen = last.UTC()
	}
	return c
}

func (s operatorHandlers) handleRevoke(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	var request api.RevokeRequest
	if err := readJSON(r, &request); err != nil {
		return err
	}
	if err := webjob.CheckLine("reason", request.Reason, 500); err != nil {
		return err
	}
	if err := s.store.RevokeClient(r.Context(), r.PathValue("id"), request.Reason, now()); err != nil {
		return err
	}
	s.shutOut(r.PathValue("id"))
	if err := s.publishRevocations(r.Context()); err != nil {
		return err
	}
	return s.handleClient(w, r, webjob.Operator{})
}

func (s operatorHandlers) handlePutPayload(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	d, err := webjob.ParseDigest(r.PathValue("digest"))
	if err != nil {
		return err
	}
	if err := s.repository.PutPayload(r.Context(), d, r.ContentLength, r.Body); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s operatorHandlers) handleHasPayload(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
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

func (s operatorHandlers) handleGetPayload(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	d, err := webjob.ParseDigest(r.PathValue("digest"))
	if err != nil {
		return err
	}
	content, err := s.repository.OpenPayload(r.Context(), d)
	if err != nil {
		return err
	}
	return sendContent(w, r, content)
}

func (s operatorHandlers) handleJobs(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
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

func (s operatorHandlers) handleLatest(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	latest, err := s.store.LatestVersion(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, api.LatestResponse{Version: latest})
}

func (s operatorHandlers) handleJobVersion(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
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
func (s operatorHandlers) handleWithdraw(http.ResponseWriter, *http.Request, webjob.Operator) error {
	return webjob.Errorf(webjob.Refused, "a version is withdrawn by signatures now, and this webjobctl is too old to propose that; nothing was withdrawn: update webjobctl")
}

func parseVersion(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > webjob.MaxVersion {
		return 0, webjob.Errorf(webjob.Invalid, "version %.40q is not a number from 1 to %d", text, int64(webjob.MaxVersion))
	}
	return n, nil
}

func (s operatorHandlers) handleResults(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	filter, err := api.DecodeResultFilter(r.URL.Query())
	if err != nil {
		return err
	}
	results, err := s.store.ListResults(r.Context(), filter)
	if err != nil {
		return err
	}
	return writeList(w, results, filter.Page, func(r webjob.Result) string { return strconv.FormatInt(r.Sequence, 10) })
}

func (s operatorHandlers) handleGetResult(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	result, err := s.store.Result(r.Context(), r.PathValue("run"))
	if err != nil {
		return err
	}
	notes, err := s.store.Notes(r.Context(), result.Run)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, api.ResultDetail{Result: result, Record: result.Record, Notes: notes})
}

func (s operatorHandlers) handlePart(w http.ResponseWriter, r *http.Request, _ webjob.Operator) error {
	content, err := s.OpenPart(r.Context(), r.PathValue("run"), r.PathValue("part"))
	if err != nil {
		return err
	}
	return sendContent(w, r, content)
}

// inMemory is an inline part as content to send.
type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }

var _ io.ReadSeekCloser = inMemory{}

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
