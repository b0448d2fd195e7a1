package operator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/url"

	"webjob.dev/webjob"
	"webjob.dev/webjob/trust"
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
	if err := c.Call(ctx, http.MethodPost, wire.PathLogin, nil, wire.EnrollRequest{Secret: token.Secret[:], ID: name, CertificateRequest: request}, &response); err != nil {
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
	return &Session{Client: wire.NewClient(l.URL, trust.ClientTLS(authority, own)), home: h, Authority: authority}, nil
}

// SetTrust makes the named keys the trust root of new clients, here and on the
// server.
func (s *Session) SetTrust(ctx context.Context, threshold int, names []string) (*trust.Root, error) {
	keys := map[string]*trust.PublicKey{}
	for _, name := range names {
		key, err := s.home.PublicKey(name)
		if err != nil {
			return nil, err
		}
		keys[name] = key
	}
	root, err := trust.NewRoot(threshold, keys)
	if err != nil {
		return nil, err
	}
	encoded, err := root.Encode()
	if err != nil {
		return nil, err
	}
	if err := s.Call(ctx, http.MethodPut, wire.PathTrust, nil, wire.TrustRoot{Root: encoded}, nil); err != nil {
		return nil, err
	}
	return root, s.home.PinRoot(root)
}

// ServerTrust returns the trust root that the server gives new clients.
func (s *Session) ServerTrust(ctx context.Context) (*trust.Root, error) {
	var response wire.TrustRoot
	if err := s.Call(ctx, http.MethodGet, wire.PathTrust, nil, nil, &response); err != nil {
		return nil, err
	}
	return trust.ParseRoot(response.Root)
}

// PinTrust pins the server's trust root when its digest is the one that a
// colleague told.
func (s *Session) PinTrust(ctx context.Context, want webjob.Digest) (*trust.Root, error) {
	root, err := s.ServerTrust(ctx)
	if err != nil {
		return nil, err
	}
	have, err := root.Digest()
	if err != nil {
		return nil, err
	}
	if have != want {
		return nil, webjob.Errorf(webjob.Refused, "the server's trust root is %s, not %s; nothing was pinned", have, want)
	}
	return root, s.home.PinRoot(root)
}

// NewToken makes a one-time token. The secret is made here; the server gets its
// digest. A client's token pins this operator's trust root, so that the server
// cannot choose another.
func (s *Session) NewToken(ctx context.Context, request wire.NewTokenRequest) (trust.Token, webjob.Token, error) {
	address, pinned := s.Base(), webjob.EmptyDigest
	if request.Role == webjob.RoleClient {
		var info wire.ServerInfo
		if err := s.Call(ctx, http.MethodGet, wire.PathServer, nil, nil, &info); err != nil {
			return trust.Token{}, webjob.Token{}, err
		}
		root, err := s.home.PinnedRoot()
		if err != nil {
			return trust.Token{}, webjob.Token{}, err
		}
		if pinned, err = root.Digest(); err != nil {
			return trust.Token{}, webjob.Token{}, err
		}
		address = info.EndpointURL
	}
	token, err := trust.NewToken(address, webjob.DigestOf(s.Authority.Raw), pinned)
	if err != nil {
		return trust.Token{}, webjob.Token{}, err
	}
	request.Secret = token.SecretDigest()
	var response wire.NewTokenResponse
	err = s.Call(ctx, http.MethodPost, wire.PathTokens, nil, request, &response)
	return token, response.Token, err
}
