package operator

import (
	"context"
	"net/http"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/trust"
)

// Tokens makes tokens, which let machines and operators in.
type Tokens struct {
	session    *Session
	repository Repository
}

// New makes a one-time token. The secret is made here; the server gets its
// digest. A client's token pins the root that this operator trusts and the labels, so
// that the server can choose neither.
func (t Tokens) New(ctx context.Context, request api.NewTokenRequest) (trust.Token, webjob.Token, error) {
	address, pinned := t.session.Base(), webjob.EmptyDigest
	var info api.ServerInfo
	if err := t.session.Call(ctx, http.MethodGet, api.PathServer, nil, nil, &info); err != nil { // it also shows the CA of now
		return trust.Token{}, webjob.Token{}, err
	}
	if request.Role == webjob.RoleClient {
		r, err := t.repository.trusted(ctx)
		if err != nil {
			return trust.Token{}, webjob.Token{}, err
		}
		pinned, address = r.Digest(), info.EndpointURL
	}
	token, err := trust.NewToken(address, webjob.DigestOf(t.session.authority.Load().Raw), pinned, request.Labels)
	if err != nil {
		return trust.Token{}, webjob.Token{}, err
	}
	request.Secret = token.SecretDigest()
	var response api.NewTokenResponse
	err = t.session.Call(ctx, http.MethodPost, api.PathTokens, nil, request, &response)
	return token, response.Token, err
}

// Readmission makes a token with which a client comes back under its own name with a new
// key: what it had ends at once. The token carries the labels that were signed for the
// client or, when none were, those that the server knows; they are returned for people to
// look at.
func (t Tokens) Readmission(ctx context.Context, id string, request api.NewTokenRequest) (trust.Token, webjob.Token, error) {
	r, err := t.repository.trusted(ctx)
	if err != nil {
		return trust.Token{}, webjob.Token{}, err
	}
	var client webjob.Client
	if err := t.session.Call(ctx, http.MethodGet, api.ClientPath(id), nil, nil, &client); err != nil {
		return trust.Token{}, webjob.Token{}, err
	}
	labels, signed, err := r.Labels(id)
	if err != nil {
		return trust.Token{}, webjob.Token{}, err
	}
	if !signed {
		labels = client.Labels
	}
	request.Role, request.Name, request.Labels, request.Uses = webjob.RoleClient, id, labels, 1
	return t.New(ctx, request)
}
