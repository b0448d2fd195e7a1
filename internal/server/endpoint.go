package server

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/transport"
	"webjob.dev/webjob/wire"
)

// clientHandlers translate the requests of clients.
type clientHandlers struct{ *Server }

// EndpointHandler serves clients.
func (s *Server) EndpointHandler() http.Handler {
	rt := s.routes("endpoint")
	c := clientHandlers{s}
	rt.handle("POST "+wire.PathEnroll, c.handleEnroll)
	rt.handle("POST "+wire.PathRenew, c.handleRenew)
	rt.handle("GET "+wire.PathRevoked, c.handleRevocations)
	rt.handle("GET "+wire.PathJobs+"{name}", c.forClient(c.handleJob))
	rt.handle("GET "+wire.PathBlobs+"{digest}", c.forClient(c.showing(c.handlePayload)))
	rt.handle("POST "+wire.PathRepository, c.forClient(c.showing(c.handleSync)))
	rt.handle("GET "+wire.PathRepositoryFiles+"{file}", c.forClient(c.showing(c.handleRepositoryFile)))
	rt.handle("POST "+wire.PathRuns, c.forClient(c.showing(c.handleBegin)))
	rt.handle("POST "+wire.PathResults, c.forClient(c.showing(c.handleResult)))
	rt.handle("GET "+wire.PathUploads+"{digest}", c.forClient(c.showing(c.handleUploaded)))
	rt.handle("PATCH "+wire.PathUploads+"{digest}", c.forClient(c.showing(c.handleUpload)))
	rt.handle("POST "+wire.PathPoll, c.forClient(c.showing(c.handlePoll)))
	rt.handle("PUT "+wire.PathFacts, c.forClient(c.showing(c.handleFacts)))
	return rt.mux
}

// clientHandler handles a request of a client that was let in.
type clientHandler func(http.ResponseWriter, *http.Request, webjob.Client) error

// forClient lets enrolled clients in and nobody else. It asks the store each
// time, so a revocation holds from the next request on, on open connections too.
func (s clientHandlers) forClient(h clientHandler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		holder, key, err := authenticate(r, webjob.RoleClient)
		if err != nil {
			return err
		}
		s.connections.Identify(r.Context(), holder.Name)
		client, err := s.identity.Client(r.Context(), holder.Name, key)
		if err != nil {
			return err
		}
		if err := s.rules.CheckAccess(client, "", r.RemoteAddr); err != nil {
			return err
		}
		if err := s.connections.Admit(r.Context(), client.ID); err != nil {
			return err
		}
		s.sightings.add(client.ID, time.Now())
		return h(w, r, client)
	}
}

// showing has an eye on the tickets of requests that get none.
func (s clientHandlers) showing(h clientHandler) clientHandler {
	return func(w http.ResponseWriter, r *http.Request, client webjob.Client) error {
		if err := s.chains.show(w, r, client.ID); err != nil {
			return err
		}
		return h(w, r, client)
	}
}

func (s clientHandlers) handleJob(w http.ResponseWriter, r *http.Request, client webjob.Client) error {
	query, err := wire.DecodeJobQuery(r.URL.Query())
	if err != nil {
		return err
	}
	name := r.PathValue("name")
	if err := s.rules.CheckAccess(client, name, r.RemoteAddr); err != nil {
		return err
	}
	ticket, _, err := s.chains.next(w, r, client.ID, lineRun, r.Header.Get(wire.HeaderTicket))
	if err != nil {
		return err
	}
	v, before, err := s.choose(r, client, name, query)
	if err != nil {
		return err
	}
	payload, err := s.jobs.Job(r.Context(), client, v, query)
	if err != nil {
		return err
	}
	note(r, slog.String("job", v.Name), slog.Int64("version", v.Version))
	if err := s.jobHeaders(w.Header(), client, v); err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", wire.ContentTypeJob)
	header.Set(wire.HeaderTicket, ticket)
	header.Set(wire.HeaderBundleLength, strconv.Itoa(len(before)-len(v.Text)))
	header.Set(wire.HeaderManifestLength, strconv.Itoa(len(v.Text)))
	header.Set("Content-Length", strconv.Itoa(len(before)+len(payload)))
	defer transport.Cork(r)()
	// A client that left needs no answer.
	if _, err := w.Write(before); err == nil { //nolint:gosec // no browser shows it: its type says what it is
		_, _ = w.Write(payload) //nolint:gosec // as above
	}
	s.metrics.payloadBytes.Add(float64(len(payload)))
	return nil
}

// choose returns the version of a job that the client gets, and what comes before the
// payload: what the client lacks of the job repository to verify the version, and the
// version's manifest.
func (s clientHandlers) choose(r *http.Request, client webjob.Client, name string, q wire.JobQuery) (v webjob.JobVersion, before []byte, err error) {
	bundle, err := s.repository.Choose(r.Header.Get(wire.HeaderHave), client.ID, name, func() error {
		v, err = s.jobs.Version(r.Context(), client, name, q.Version)
		return err
	})
	if err != nil || bundle == nil {
		return v, v.Text, err
	}
	return v, slices.Concat(bundle, v.Text), nil
}

// jobHeaders says what holds for a run beside the manifest.
func (s clientHandlers) jobHeaders(header http.Header, client webjob.Client, v webjob.JobVersion) error {
	effective := s.rules.For(client, v.Name)
	if effective.Bounds() {
		limits, err := json.Marshal(effective.Limits)
		if err != nil {
			return err
		}
		header.Set(wire.HeaderLimits, string(limits))
	}
	if effective.PutURL != "" {
		header.Set(wire.HeaderPutURL, effective.PutURL)
	}
	if s.rules.Wants(webjob.OnRun, client, v.Name) {
		header.Set(wire.HeaderBegin, "ask")
	}
	return nil
}

func (s clientHandlers) handlePayload(w http.ResponseWriter, r *http.Request, client webjob.Client) error {
	content, size, err := s.jobs.Payload(r.Context(), client, r.PathValue("digest"))
	if err != nil {
		return err
	}
	s.metrics.payloadBytes.Add(float64(size))
	defer transport.Cork(r)()
	return sendContent(w, r, content)
}

func (s clientHandlers) handleResult(w http.ResponseWriter, r *http.Request, client webjob.Client) error {
	leave, err := s.uploads.Take(r.Context(), client.ID)
	if err != nil {
		return err
	}
	defer leave()
	recordLength, err := strconv.ParseInt(r.Header.Get(wire.HeaderRecordLength), 10, 64)
	if err != nil {
		return webjob.Errorf(webjob.Invalid, "header %s is %.40q; it must be the number of bytes of the record", wire.HeaderRecordLength, r.Header.Get(wire.HeaderRecordLength))
	}
	response, err := s.results.Receive(r.Context(), client, recordLength, r.ContentLength, r.Body)
	if err != nil {
		return err
	}
	note(r, slog.String("run", response.Run), slog.Bool("known", response.Known))
	status := http.StatusCreated
	if response.Known {
		status = http.StatusOK
	}
	return writeJSON(w, status, response)
}

// handleUploaded tells how far an upload of this client is.
func (s clientHandlers) handleUploaded(w http.ResponseWriter, r *http.Request, client webjob.Client) error {
	offset, err := s.results.Uploaded(r.Context(), client, r.PathValue("digest"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, wire.UploadResponse{Offset: offset})
}

// handleUpload adds to an upload of this client.
func (s clientHandlers) handleUpload(w http.ResponseWriter, r *http.Request, client webjob.Client) error {
	var u webjob.Upload
	var err error
	if u.Digest, err = webjob.ParseDigest(r.PathValue("digest")); err != nil {
		return err
	}
	for _, h := range []struct {
		name  string
		value *int64
	}{{wire.HeaderUploadOffset, &u.Offset}, {wire.HeaderUploadLength, &u.Size}} {
		if *h.value, err = strconv.ParseInt(r.Header.Get(h.name), 10, 64); err != nil || *h.value < 0 {
			return webjob.Errorf(webjob.Invalid, "header %s is %.40q; it must be a number of bytes", h.name, r.Header.Get(h.name))
		}
	}
	if err := s.results.CheckUpload(u); err != nil {
		return err // before it waits for a place
	}
	leave, err := s.resumables.Take(r.Context(), client.ID)
	if err != nil {
		return err
	}
	defer leave()
	offset, err := s.results.Upload(r.Context(), client, u, r.Body)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, wire.UploadResponse{Offset: offset})
}
