package server

import (
	"context"
	"crypto/x509"
	"slices"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/rules"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// Enroll makes a client of whoever holds a token: it takes one use from the
// token and returns a certificate for the key in the request. When anything is
// wrong the token keeps its use.
func (s *Server) Enroll(ctx context.Context, request wire.EnrollRequest) (wire.EnrollResponse, error) {
	secret, token, err := s.admit(ctx, request, webjob.RoleClient)
	if err != nil {
		return wire.EnrollResponse{}, err
	}
	if err := request.Platform.Check(); err != nil {
		return wire.EnrollResponse{}, err
	}
	_, _, roots, err := s.repository.View()
	if err != nil {
		return wire.EnrollResponse{}, err
	}
	i := slices.IndexFunc(roots, func(root []byte) bool { return webjob.DigestOf(root) == request.TrustRoot })
	if i < 0 {
		return wire.EnrollResponse{}, webjob.Errorf(webjob.Refused, "the token pins root %s, which this server's job repository never had; ask for a new token", request.TrustRoot.Short())
	}
	response, certificate, err := s.certify(request, webjob.RoleClient)
	if err != nil {
		return wire.EnrollResponse{}, err
	}
	client := webjob.Client{ID: request.ID, Labels: token.Labels, Platform: request.Platform, Key: trust.KeyDigest(certificate), EnrolledAt: now()}
	event := rules.NewEvent(webjob.OnEnroll, client)
	if err := s.store.Enroll(ctx, secret, client, s.rules.Deliveries(event, client.Subject())); err != nil {
		return wire.EnrollResponse{}, err
	}
	if err := s.store.AddCertificate(ctx, client.ID, certificate.SerialNumber, certificate.NotAfter); err != nil {
		return wire.EnrollResponse{}, err
	}
	s.outbox.Wake()
	if err := s.dispatcher.Join(ctx, client.ID); err != nil {
		s.log.Error("a new client joined no order", "client", client.ID, "error", err)
	}
	s.metrics.enrolments.WithLabelValues(string(webjob.RoleClient)).Inc()
	response.Labels, response.TrustRoot = token.Labels, roots[i]
	return response, nil
}

// Login makes an operator of whoever holds an operator's token.
func (s *Server) Login(ctx context.Context, request wire.EnrollRequest) (wire.EnrollResponse, error) {
	secret, _, err := s.admit(ctx, request, webjob.RoleOperator)
	if err != nil {
		return wire.EnrollResponse{}, err
	}
	response, certificate, err := s.certify(request, webjob.RoleOperator)
	if err != nil {
		return wire.EnrollResponse{}, err
	}
	if err := s.store.AddOperator(ctx, secret, webjob.Operator{Name: request.ID, Key: trust.KeyDigest(certificate), EnrolledAt: now()}); err != nil {
		return wire.EnrollResponse{}, err
	}
	s.metrics.enrolments.WithLabelValues(string(webjob.RoleOperator)).Inc()
	return response, nil
}

// admit checks the token and the wished name, without using the token up.
func (s *Server) admit(ctx context.Context, request wire.EnrollRequest, role webjob.Role) (webjob.Digest, webjob.Token, error) {
	if err := webjob.CheckClientID(request.ID); err != nil {
		return "", webjob.Token{}, err
	}
	secret := webjob.DigestOf(request.Secret)
	token, err := s.store.Token(ctx, secret)
	switch {
	case webjob.KindOf(err) == webjob.NotFound:
		err = webjob.Errorf(webjob.Refused, "token is unknown or used up; ask for a new one")
	case err != nil:
	case token.Role != role:
		err = webjob.Errorf(webjob.Refused, "token is for a new %s, not a new %s; ask for the right kind", token.Role, role)
	case !now().Before(token.Expires):
		err = webjob.Errorf(webjob.Refused, "token expired at %s; ask for a new one", token.Expires.Format("2006-01-02 15:04:05 UTC"))
	}
	return secret, token, err
}

func (s *Server) certify(request wire.EnrollRequest, role webjob.Role) (wire.EnrollResponse, *x509.Certificate, error) {
	public, err := trust.ParseCertificateRequest(request.CertificateRequest)
	if err != nil {
		return wire.EnrollResponse{}, nil, err
	}
	certificate, err := s.authority.IssueIdentity(trust.Identity{Role: role, Name: request.ID}, public, now())
	if err != nil {
		return wire.EnrollResponse{}, nil, err
	}
	return wire.EnrollResponse{
		ID:          request.ID,
		Certificate: string(trust.CertificatePEM(certificate)),
		Authority:   string(s.authority.PEM()),
	}, certificate, nil
}

// NewToken registers a one-time token of which the caller keeps the secret.
func (s *Server) NewToken(ctx context.Context, request api.NewTokenRequest) (webjob.Token, error) {
	secret, err := webjob.ParseDigest(string(request.Secret))
	if err != nil {
		return webjob.Token{}, err
	}
	if request.Role != webjob.RoleClient && request.Role != webjob.RoleOperator {
		return webjob.Token{}, webjob.Errorf(webjob.Invalid, "token role %.40q is unknown; use client or operator", string(request.Role))
	}
	at := now()
	token := webjob.Token{
		ID: secret.Short(), Secret: secret, Role: request.Role, Labels: request.Labels,
		Uses: request.Uses, Expires: at.Add(seconds(request.TTLSeconds)),
	}
	if err := token.Check(at); err != nil {
		return webjob.Token{}, err
	}
	return token, s.store.AddToken(ctx, token)
}
