package server

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"net/http"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/identity"
	"webjob.dev/webjob/wire"
)

// The requests of those who are to be let in, or in again. Package identity decides.

func (s clientHandlers) handleEnroll(w http.ResponseWriter, r *http.Request) error {
	var request wire.EnrollRequest
	if err := readJSON(r, &request); err != nil {
		return err
	}
	r, act := tryOf(r, "client.enroll")
	response, err := s.identity.Enroll(r.Context(), request, r.RemoteAddr)
	if err != nil {
		s.record.stranger(r.Context(), act, err)
		return err
	}
	s.metrics.enrolments.WithLabelValues(string(webjob.RoleClient)).Inc()
	note(r, slog.String("client", response.ID))
	return writeJSON(w, http.StatusCreated, response)
}

// handleRenew gives a client a new certificate for its key. A certificate that still
// holds is proof enough. One that expired is not: then the key alone speaks, and an
// operator decides.
func (s clientHandlers) handleRenew(w http.ResponseWriter, r *http.Request) error {
	var request wire.RenewRequest
	if err := readJSON(r, &request); err != nil {
		return err
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return s.forClient(func(w http.ResponseWriter, r *http.Request, client webjob.Client) error {
			response, certificate, err := s.identity.Renew(r.Context(), client, request, s.newest(w, r))
			return s.answerRenewal(w, r, response, certificate, err)
		})(w, r)
	}
	r, _ = tryOf(r, "client.ask") // what is refused is told by the access line
	response, certificate, err := s.identity.RenewExpired(r.Context(), request, r.RemoteAddr, s.newest(w, r))
	return s.answerRenewal(w, r, response, certificate, err)
}

// newest takes the step of a client that renews, and refuses who does not have its newest
// ticket.
func (s clientHandlers) newest(w http.ResponseWriter, r *http.Request) func(client string) error {
	return func(client string) error {
		ticket, twice, err := s.chains.next(w, r, client, lineRun, r.Header.Get(wire.HeaderTicket))
		if err == nil && twice {
			err = identity.TwoHolders(client)
		}
		w.Header().Set(wire.HeaderTicket, ticket)
		return err
	}
}

func (s clientHandlers) answerRenewal(w http.ResponseWriter, r *http.Request, response wire.RenewResponse, certificate *x509.Certificate, err error) error {
	if err != nil {
		return err
	}
	s.metrics.enrolments.WithLabelValues("renewal").Inc()
	note(r, slog.String("client", certificate.Subject.CommonName), slog.Time("expires", certificate.NotAfter))
	return writeJSON(w, http.StatusOK, response)
}

// handleRevocations serves the list of revoked certificates to anybody: it is public and
// signed.
func (s clientHandlers) handleRevocations(w http.ResponseWriter, r *http.Request) error {
	list, made := s.identity.Revocations.List()
	w.Header().Set("Content-Type", wire.ContentTypeCRL)
	http.ServeContent(w, r, "", made, bytes.NewReader(list))
	return nil
}
