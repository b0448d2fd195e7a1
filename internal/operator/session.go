package operator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/url"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// Session is a logged-in operator's connection to a server.
type Session struct {
	*wire.Client
	home *Home
	// Authority is the server's CA certificate.
	Authority *x509.Certificate
}

// Login makes a key, gets an operator's certificate for a token, and keeps both.
func Login(ctx context.Context, h *Home, token trust.Token, address, name string) (*Session, error) {
	if err := webjob.CheckClientID(name); err != nil {
		return nil, err
	}
	if address == "" {
		address = token.URL
	}
	if err := trust.CheckServerURL(address); err != nil {
		return nil, err
	}
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	key, err := trust.GenerateKey(trust.ECDSA)
	if err != nil {
		return nil, err
	}
	request, err := trust.CertificateRequest(key, name)
	if err != nil {
		return nil, err
	}
	var authority *x509.Certificate
	c := wire.NewClient(address, trust.FirstContactTLS(token.CA, parsed.Hostname(), func(ca *x509.Certificate) { authority = ca }))
	defer c.Close()
	var response wire.EnrollResponse
	if err := c.Call(ctx, http.MethodPost, api.PathLogin, nil, wire.EnrollRequest{Secret: token.Secret[:], ID: name, CertificateRequest: request}, &response); err != nil {
		return nil, err
	}
	private, err := key.PrivatePEM()
	if err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(login{URL: address, Name: response.ID, Authority: string(trust.CertificatePEM(authority))})
	if err != nil {
		return nil, err
	}
	if err := h.replaceFile(identityFile, append(private, response.Certificate...)); err != nil {
		return nil, err
	}
	if err := h.replaceFile(loginFile, encoded); err != nil {
		return nil, err
	}
	return h.Session()
}

// Session returns the connection of who is logged in.
func (h *Home) Session() (*Session, error) {
	l, identity, err := h.readLogin()
	if err != nil {
		return nil, err
	}
	authority, err := trust.ParseCertificate([]byte(l.Authority))
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%s is damaged: %w; log in again", h.path(loginFile), err)
	}
	own, err := tls.X509KeyPair(identity, identity)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%s is damaged: %w; log in again", h.path(identityFile), err)
	}
	return &Session{Client: wire.NewClient(l.URL, trust.ClientTLS(own, authority)), home: h, Authority: authority}, nil
}

// NewToken makes a one-time token. The secret is made here; the server gets its
// digest. A client's token pins the root that this operator trusts and the labels, so
// that the server can choose neither.
func (s *Session) NewToken(ctx context.Context, request api.NewTokenRequest) (trust.Token, webjob.Token, error) {
	address, pinned := s.Base(), webjob.EmptyDigest
	if request.Role == webjob.RoleClient {
		var info api.ServerInfo
		if err := s.Call(ctx, http.MethodGet, api.PathServer, nil, nil, &info); err != nil {
			return trust.Token{}, webjob.Token{}, err
		}
		r, err := s.trusted(ctx)
		if err != nil {
			return trust.Token{}, webjob.Token{}, err
		}
		pinned, address = r.Digest(), info.EndpointURL
	}
	token, err := trust.NewToken(address, webjob.DigestOf(s.Authority.Raw), pinned, request.Labels)
	if err != nil {
		return trust.Token{}, webjob.Token{}, err
	}
	request.Secret = token.SecretDigest()
	var response api.NewTokenResponse
	err = s.Call(ctx, http.MethodPost, api.PathTokens, nil, request, &response)
	return token, response.Token, err
}
