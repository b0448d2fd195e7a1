package server

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// returnTime is how long an approval holds for a client whose certificate expired.
const returnTime = 24 * time.Hour

// handleRenew gives a client a new certificate for its key. A certificate that still
// holds is proof enough. One that expired is not: then the key alone speaks, and an
// operator decides.
func (s clientHandlers) handleRenew(w http.ResponseWriter, r *http.Request) error {
	var request wire.RenewRequest
	if err := readJSON(r, &request); err != nil {
		return err
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return s.forClient(s.showing(func(w http.ResponseWriter, r *http.Request, client webjob.Client) error {
			return s.renew(w, r, client, request)
		}))(w, r)
	}
	if err := webjob.CheckClientID(request.ID); err != nil {
		return err
	}
	client, err := s.store.Client(r.Context(), request.ID)
	if webjob.KindOf(err) == webjob.NotFound || err == nil && (client.Revoked() || !client.SuspendedAt.IsZero()) {
		return webjob.Errorf(webjob.Refused, "client %s may not come back; enrol it again", request.ID)
	}
	if err != nil {
		return err
	}
	if _, err := checkRenewal(client, request); err != nil {
		return err
	}
	if err := s.rules.CheckAccess(client, "", r.RemoteAddr); err != nil {
		return err
	}
	if now().Before(client.ApprovedUntil) {
		return s.renew(w, r, client, request)
	}
	if client.AskedAt.IsZero() {
		if err := s.store.LetReturn(r.Context(), client.ID, now(), time.Time{}); err != nil {
			return err
		}
		s.log.Warn("a client whose certificate expired asks to come back", "client", client.ID, "remote", r.RemoteAddr)
	}
	return webjob.Errorf(webjob.Refused, "the certificate of client %s has expired; an operator must let it come back: webjobctl client approve %s", client.ID, client.ID)
}

// checkRenewal returns the key of a request that the holder of the client's key made.
func checkRenewal(client webjob.Client, request wire.RenewRequest) (any, error) {
	key, err := trust.ParseCertificateRequest(request.CertificateRequest)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	if request.ID != client.ID || webjob.DigestOf(der) != client.Key {
		return nil, webjob.Errorf(webjob.Refused, "client %s was enrolled with another key; enrol it again", client.ID)
	}
	return key, nil
}

func (s clientHandlers) renew(w http.ResponseWriter, r *http.Request, client webjob.Client, request wire.RenewRequest) error {
	key, err := checkRenewal(client, request)
	if err != nil {
		return err
	}
	certificate, err := s.authority.IssueIdentity(trust.Identity{Role: webjob.RoleClient, Name: client.ID}, key, now())
	if err != nil {
		return err
	}
	if !client.AskedAt.IsZero() || !client.ApprovedUntil.IsZero() {
		if err := s.store.LetReturn(r.Context(), client.ID, time.Time{}, time.Time{}); err != nil {
			return err
		}
	}
	if err := s.store.AddCertificate(r.Context(), client.ID, certificate.SerialNumber, certificate.NotAfter); err != nil {
		return err
	}
	s.metrics.enrolments.WithLabelValues("renewal").Inc()
	note(r, slog.String("client", client.ID), slog.Time("expires", certificate.NotAfter))
	return writeJSON(w, http.StatusOK, wire.RenewResponse{Certificate: string(trust.CertificatePEM(certificate)), Authority: string(s.authority.PEM())})
}

// handleApproveReturn lets a client have a new certificate after its own expired.
func (s fleetHandlers) handleApproveReturn(w http.ResponseWriter, r *http.Request, operator webjob.Operator) error {
	id := r.PathValue("id")
	if err := s.approveReturn(r.Context(), id); err != nil {
		return err
	}
	s.log.Info("a client may come back", "client", id, "operator", operator.Name)
	return operatorHandlers(s).handleClient(w, r, operator)
}

func (s *Server) approveReturn(ctx context.Context, id string) error {
	client, err := s.store.Client(ctx, id)
	if err != nil {
		return err
	}
	if client.AskedAt.IsZero() {
		return webjob.Errorf(webjob.Conflict, "client %s does not ask to come back; its certificate is renewed without that while it holds", id)
	}
	return s.store.LetReturn(ctx, id, client.AskedAt, now().Add(returnTime))
}
