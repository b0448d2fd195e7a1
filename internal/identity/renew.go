package identity

import (
	"context"
	"crypto"
	"crypto/x509"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// lateRenewalTime is how long an approval holds for a client whose certificate expired.
const lateRenewalTime = 24 * time.Hour

// Renew gives a client that was let in a new certificate for its key: when newest finds
// that it has the newest ticket, and as long as nobody was told of two holders. So what
// was copied of an identity ends with its certificate.
func (r *Room) Renew(ctx context.Context, client webjob.Client, request wire.RenewRequest, newest func(client string) error) (wire.RenewResponse, *x509.Certificate, error) {
	if request.ID != client.ID {
		return wire.RenewResponse{}, nil, webjob.Errorf(webjob.Refused, "client %s cannot renew the certificate of %.80q", client.ID, request.ID)
	}
	key, err := keyOf(request.CertificateRequest, client.Key)
	if err != nil {
		return wire.RenewResponse{}, nil, webjob.Errorf(webjob.KindOf(err), "client %s: %w", client.ID, err)
	}
	if err := newest(client.ID); err != nil {
		return wire.RenewResponse{}, nil, err
	}
	if client.Clone != nil {
		return wire.RenewResponse{}, nil, TwoHolders(client.ID)
	}
	certificate, err := r.issue(webjob.RoleClient, client.ID, key)
	if err != nil {
		return wire.RenewResponse{}, nil, err
	}
	if err := r.Store.RenewClient(ctx, client.ID, client.Key, noted(certificate)); err != nil {
		return wire.RenewResponse{}, nil, err
	}
	return r.renewed(certificate), certificate, nil
}

// TwoHolders refuses a renewal.
func TwoHolders(client string) error {
	return webjob.Errorf(webjob.Refused, "two hold the identity of client %s, or its state folder was set back; no certificate is renewed before an admin has looked: webjobctl client readmit %s", client, client)
}

func (r *Room) renewed(certificate *x509.Certificate) wire.RenewResponse {
	return wire.RenewResponse{Certificate: string(trust.CertificatePEM(certificate)), Authority: string(r.Authority.PEM())}
}

// RenewExpired is Renew for a client whose certificate has expired: then the key alone
// speaks, and an operator decides. Until then it is Refused. The act of the context is its
// own.
func (r *Room) RenewExpired(ctx context.Context, request wire.RenewRequest, remote string, newest func(client string) error) (wire.RenewResponse, *x509.Certificate, error) {
	fail := func(err error) (wire.RenewResponse, *x509.Certificate, error) { return wire.RenewResponse{}, nil, err }
	if err := webjob.CheckClientID(request.ID); err != nil {
		return fail(err)
	}
	key, err := trust.ParseCertificateRequest(request.CertificateRequest)
	if err != nil {
		return fail(err)
	}
	digest, err := digestOf(key)
	if err != nil {
		return fail(err)
	}
	client, err := r.Client(ctx, request.ID, digest)
	if err != nil {
		return fail(err)
	}
	if err := r.AllowClient(client, remote); err != nil {
		return fail(err)
	}
	if act := webjob.ActOf(ctx); act != nil { // the key speaks for it
		act.Actor, act.Key = webjob.ClientActor(client.ID), digest.Short()
	}
	if now().Before(client.ApprovedUntil) {
		webjob.DescribeAs(ctx, "client.return", client.ID, map[string]any{"may_return_until": client.ApprovedUntil}, nil)
		return r.Renew(ctx, client, request, newest)
	}
	if client.AskedAt.IsZero() {
		webjob.DescribeAs(ctx, "client.ask", client.ID, nil, map[string]any{"asks": "to return"})
		if err := r.Store.SetLateRenewal(ctx, client.ID, now(), time.Time{}); err != nil {
			return fail(err)
		}
		r.Log.Warn("a client whose certificate expired asks to come back", "client", client.ID, "remote", remote)
	}
	return fail(webjob.Errorf(webjob.Refused, "the certificate of client %s has expired; an admin must let it come back: webjobctl client approve %s", client.ID, client.ID))
}

// Approve lets a client have a new certificate after its own expired.
func (r *Room) Approve(ctx context.Context, id string) error {
	client, err := r.Store.Client(ctx, id)
	if err != nil {
		return err
	}
	if client.AskedAt.IsZero() {
		return webjob.Errorf(webjob.Conflict, "client %s does not ask to come back; its certificate is renewed without that while it holds", id)
	}
	until := now().Add(lateRenewalTime)
	webjob.Describe(ctx, id, map[string]any{"asked_at": client.AskedAt}, map[string]any{"may_return_until": until})
	return r.Store.SetLateRenewal(ctx, id, client.AskedAt, until)
}

// RenewOperator gives an operator that was let in a new certificate for its key.
func (r *Room) RenewOperator(ctx context.Context, operator webjob.Operator, request []byte) (wire.RenewResponse, error) {
	key, err := keyOf(request, operator.Key)
	if err != nil {
		return wire.RenewResponse{}, webjob.Errorf(webjob.KindOf(err), "operator %s: %w", operator.Name, err)
	}
	certificate, err := r.issue(webjob.RoleOperator, operator.Name, key)
	if err != nil {
		return wire.RenewResponse{}, err
	}
	webjob.Describe(ctx, operator.Name, map[string]any{"expires": operator.Expires}, map[string]any{"expires": certificate.NotAfter.UTC()})
	if err := r.Store.RenewOperator(ctx, operator.Name, operator.Key, noted(certificate)); err != nil {
		return wire.RenewResponse{}, err
	}
	return r.renewed(certificate), nil
}

// keyOf returns the key of a certificate request that the holder of the known key made.
func keyOf(request []byte, known webjob.Digest) (crypto.PublicKey, error) {
	key, err := trust.ParseCertificateRequest(request)
	if err != nil {
		return nil, err
	}
	digest, err := digestOf(key)
	if err != nil {
		return nil, err
	}
	if digest != known {
		return nil, webjob.Errorf(webjob.Refused, "the request is for another key than the one that is renewed")
	}
	return key, nil
}

func digestOf(key crypto.PublicKey) (webjob.Digest, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	return webjob.DigestOf(der), err
}
