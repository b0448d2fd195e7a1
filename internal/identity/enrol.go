package identity

import (
	"context"
	"crypto"
	"crypto/x509"
	"slices"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// Enroll makes a client of whoever holds a token, and returns a certificate for the key in
// the request. When anything is wrong the token keeps its use. The act of the context is
// its own.
func (r *Room) Enroll(ctx context.Context, request wire.EnrollRequest, remote string) (wire.EnrollResponse, error) {
	token, err := r.token(ctx, request, webjob.RoleClient)
	if err != nil {
		return wire.EnrollResponse{}, err
	}
	if err := request.Platform.Check(); err != nil {
		return wire.EnrollResponse{}, err
	}
	client := webjob.Client{ID: request.ID, Labels: token.Labels, Platform: request.Platform, EnrolledAt: now()}
	if token.Readmits() {
		before, err := r.Store.Client(ctx, request.ID)
		if err != nil {
			return wire.EnrollResponse{}, err
		}
		client.Labels = before.Labels
	}
	if err := r.AllowClient(client, remote); err != nil {
		return wire.EnrollResponse{}, err
	}
	root, err := r.pinned(request.TrustRoot)
	if err != nil {
		return wire.EnrollResponse{}, err
	}
	response, certificate, err := r.certify(request, webjob.RoleClient)
	if err != nil {
		return wire.EnrollResponse{}, err
	}
	client.Key = trust.KeyDigest(certificate)
	if token.Readmits() { // before: its old key is of no use since the token was made, and its new one not yet
		if err := r.ForgetTickets(webjob.WithAct(ctx, nil), client.ID); err != nil { // the act is the enrolment
			return wire.EnrollResponse{}, err
		}
	}
	webjob.Describe(ctx, client.ID, nil, map[string]any{
		"token": token.ID, "labels": client.Labels, "platform": client.Platform, "key": client.Key, "comes_back": token.Readmits(),
	})
	err = as(ctx, webjob.ClientActor(client.ID), certificate, func() error {
		return r.Store.Enroll(ctx, token.Secret, client, noted(certificate), r.Enrolled(client))
	})
	if err != nil {
		return wire.EnrollResponse{}, err
	}
	r.Wake()
	if err := r.Join(ctx, client.ID); err != nil {
		r.Log.Error("a new client joined no order", "client", client.ID, "error", err)
	}
	response.Labels, response.TrustRoot = client.Labels, root
	if token.Readmits() {
		response.Labels = token.Labels // what its token says; the signed ones come with the job repository
	}
	return response, nil
}

// pinned returns the root that a token pins.
func (r *Room) pinned(d webjob.Digest) ([]byte, error) {
	roots, err := r.Roots()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(roots, func(root []byte) bool { return webjob.DigestOf(root) == d })
	if i < 0 {
		return nil, webjob.Errorf(webjob.Refused, "the token pins root %s, which this server's job repository never had; ask for a new token", d.Short())
	}
	return roots[i], nil
}

// Login makes an operator of whoever holds an operator's token. The act of the context is
// its own.
func (r *Room) Login(ctx context.Context, request wire.EnrollRequest, remote string) (wire.EnrollResponse, error) {
	token, err := r.token(ctx, request, webjob.RoleOperator)
	if err != nil {
		return wire.EnrollResponse{}, err
	}
	if request.ID == webjob.ServerActor {
		return wire.EnrollResponse{}, errReserved
	}
	if err := r.AllowOperator(request.ID, remote); err != nil {
		return wire.EnrollResponse{}, err
	}
	response, certificate, err := r.certify(request, webjob.RoleOperator)
	if err != nil {
		return wire.EnrollResponse{}, err
	}
	operator := webjob.Operator{Name: request.ID, Key: trust.KeyDigest(certificate), EnrolledAt: now()}
	webjob.Describe(ctx, request.ID, nil, map[string]any{"token": token.ID, "key": operator.Key, "comes_back": token.Readmits()})
	err = as(ctx, request.ID, certificate, func() error {
		_, err := r.Store.AddOperator(ctx, token.Secret, operator, noted(certificate))
		return err
	})
	if err != nil {
		return wire.EnrollResponse{}, err
	}
	r.CutOperator(request.ID) // a holder of the key of before, if any
	return response, nil
}

// as makes the change by which who holds a token becomes somebody: in the entry of that it
// is the actor already, with its new key. When it does not, the try is one of the token.
func as(ctx context.Context, actor string, certificate *x509.Certificate, change func() error) error {
	act := webjob.ActOf(ctx)
	if act == nil {
		return change()
	}
	before := act.Act
	act.Actor, act.Key, act.Certificate = actor, trust.KeyDigest(certificate).Short(), certificate.SerialNumber.Text(16)
	err := change()
	if err != nil {
		act.Act = before
	}
	return err
}

// errReserved keeps what the server does by itself apart from what an operator does.
var errReserved = webjob.Errorf(webjob.Invalid, "no operator can be named %s: what the server does by itself stands under that name in the audit log", webjob.ServerActor)

// token returns the token of a request that may use it, without using it up.
func (r *Room) token(ctx context.Context, request wire.EnrollRequest, role webjob.Role) (webjob.Token, error) {
	secret := webjob.DigestOf(request.Secret)
	if act := webjob.ActOf(ctx); act != nil { // also of one that is used up or was never made
		act.Actor = webjob.TokenActor(secret.Short())
	}
	if err := role.CheckName(request.ID); err != nil {
		return webjob.Token{}, err
	}
	webjob.About(ctx, request.ID)
	token, err := r.Store.Token(ctx, secret)
	switch {
	case webjob.KindOf(err) == webjob.NotFound:
		err = webjob.Errorf(webjob.Refused, "token is unknown, used up or revoked; ask for a new one")
	case err != nil:
	case token.Role != role:
		err = webjob.Errorf(webjob.Refused, "token is for a new %s, not a new %s; ask for the right kind", token.Role, role)
	case !now().Before(token.Expires):
		err = webjob.Errorf(webjob.Refused, "token expired at %s; ask for a new one", token.Expires.Format("2006-01-02 15:04:05 UTC"))
	case token.Name != "" && token.Name != request.ID:
		option := map[webjob.Role]string{webjob.RoleClient: "--id", webjob.RoleOperator: "--name"}[role]
		err = webjob.Errorf(webjob.Refused, "token is for %s %s, and for no other name; add %s %s", role, token.Name, option, token.Name)
	}
	return token, err
}

// certify issues a certificate for the key of a request.
func (r *Room) certify(request wire.EnrollRequest, role webjob.Role) (wire.EnrollResponse, *x509.Certificate, error) {
	public, err := trust.ParseCertificateRequest(request.CertificateRequest)
	if err != nil {
		return wire.EnrollResponse{}, nil, err
	}
	certificate, err := r.issue(role, request.ID, public)
	if err != nil {
		return wire.EnrollResponse{}, nil, err
	}
	return wire.EnrollResponse{
		ID:          request.ID,
		Certificate: string(trust.CertificatePEM(certificate)),
		Authority:   string(r.Authority.PEM()),
	}, certificate, nil
}

func (r *Room) issue(role webjob.Role, name string, key crypto.PublicKey) (*x509.Certificate, error) {
	return r.Authority.IssueIdentity(trust.Identity{Role: role, Name: name}, key, now())
}

// noted is what the store keeps of a certificate.
func noted(certificate *x509.Certificate) webjob.Certificate {
	return webjob.Certificate{Serial: certificate.SerialNumber, NotAfter: certificate.NotAfter.UTC()}
}
