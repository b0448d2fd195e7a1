package operator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// Session is a logged-in operator's connection to a server. What is done over it is divided
// by what it is about: see the methods that return Repository, Jobs, Orders and so on.
type Session struct {
	*wire.Client
	home *Home
	// Name is who is logged in, and Expires when the certificate ends.
	Name    string
	Expires time.Time
	// authority is the CA that issued the certificate which the server showed last: while a
	// server changes its CA, two are trusted.
	authority atomic.Pointer[x509.Certificate]
}

// Login makes a key, gets an operator's certificate for a token, and keeps both.
func Login(ctx context.Context, h *Home, token trust.Token, address, name string) (*Session, error) {
	if err := webjob.CheckOperatorName(name); err != nil {
		return nil, err
	}
	if token.Root != webjob.EmptyDigest {
		return nil, webjob.Errorf(webjob.Invalid, "this token is for a machine, which takes it with webjob enroll; an admin makes one for an operator with webjobctl operator add NAME --role ROLE")
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
	if c.Header, err = h.header(); err != nil {
		return nil, err
	}
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
	authorities, err := trust.ParseCertificates([]byte(l.Authority))
	if err != nil {
		return nil, h.damaged(loginFile, l.Name, err)
	}
	own, err := tls.X509KeyPair(identity, identity)
	if err != nil {
		return nil, h.damaged(identityFile, l.Name, err)
	}
	if expired := own.Leaf.NotAfter; time.Now().After(expired) {
		return nil, webjob.Errorf(webjob.Unauthorized, "the certificate of operator %s expired at %s, and here it is %s%s; an admin makes a token for a new one: webjobctl operator renew %s",
			l.Name, expired.UTC().Format(time.RFC3339), time.Now().UTC().Format(time.RFC3339), clockAdvice(l.URL, authorities), l.Name)
	}
	s := &Session{home: h, Name: l.Name, Expires: own.Leaf.NotAfter}
	s.authority.Store(authorities[0])
	config := trust.ClientTLS(own, authorities...)
	config.VerifyConnection = func(state tls.ConnectionState) error {
		chain := state.VerifiedChains[0] // there is one: the connection was verified
		s.authority.Store(chain[len(chain)-1])
		return nil
	}
	s.Client = wire.NewClient(l.URL, config)
	s.Header, err = h.header()
	return s, err
}

// Repository is the job repository of the server.
func (s *Session) Repository() Repository { return Repository{s} }

// Jobs are the jobs of the server.
func (s *Session) Jobs() Jobs { return Jobs{s, s.Repository()} }

// Orders are the orders of the server.
func (s *Session) Orders() Orders { return Orders{s, s.Repository(), s.Jobs()} }

// Reviews shows what waits for signatures.
func (s *Session) Reviews() Reviews { return Reviews{s.Repository(), s.Jobs()} }

// Results are the results of the server.
func (s *Session) Results() Results { return Results{s} }

// Audit is the audit log of the server.
func (s *Session) Audit() AuditLog { return AuditLog{s} }

// Tokens lets machines and operators in.
func (s *Session) Tokens() Tokens { return Tokens{s, s.Repository()} }

// askTime bounds the question what time it is at the server.
const askTime = 5 * time.Second

// clockAdvice asks a server, as nobody in particular, whether this clock is right.
func clockAdvice(address string, authorities []*x509.Certificate) string {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	config := trust.ClientTLS(tls.Certificate{}, authorities...)
	config.Certificates = nil
	c := wire.NewClient(address, config)
	defer c.Close()
	_ = c.Call(ctx, http.MethodGet, api.PathServer, nil, nil, nil) // refused, with the time
	if skew := c.Skew(); skew != 0 {
		return ", which differs from the server's clock by " + skew.String() + ": check this clock first"
	}
	return ""
}

// damaged tells of a file of the login that cannot be read, and what helps.
func (h *Home) damaged(file, name string, err error) error {
	if name == "" {
		name = "NAME"
	}
	return webjob.Errorf(webjob.Invalid, "%s is damaged: %w; log in with a new token, which an admin makes: webjobctl operator renew %s", h.path(file), err, name)
}

// Renew gets a new certificate for the key of who is logged in, and returns when it ends.
func (s *Session) Renew(ctx context.Context) (time.Time, error) {
	l, identity, err := s.home.readLogin()
	if err != nil {
		return time.Time{}, err
	}
	key, err := trust.ParsePrivateKey(identity)
	if err != nil {
		return time.Time{}, s.home.damaged(identityFile, l.Name, err)
	}
	request, err := trust.CertificateRequest(key, l.Name)
	if err != nil {
		return time.Time{}, err
	}
	var response wire.RenewResponse
	if err := s.Call(ctx, http.MethodPost, api.PathRenew, nil, api.RenewRequest{CertificateRequest: request}, &response); err != nil {
		return time.Time{}, err
	}
	private, err := key.PrivatePEM()
	if err != nil {
		return time.Time{}, err
	}
	renewed := append(private, response.Certificate...)
	expires, err := checkRenewed(renewed, response.Authority, l.Name)
	if err != nil {
		return time.Time{}, err
	}
	// First whom to trust, which holds with the certificate of before, too.
	l.Authority = response.Authority
	encoded, err := json.Marshal(l)
	if err != nil {
		return time.Time{}, err
	}
	if err := s.home.replaceFile(loginFile, encoded); err != nil {
		return time.Time{}, err
	}
	return expires, s.home.replaceFile(identityFile, renewed)
}

// checkRenewed judges what a server gave as a new certificate, before it takes the place of
// the one that works.
func checkRenewed(identity []byte, authority, name string) (time.Time, error) {
	refused := func(why any) (time.Time, error) {
		return time.Time{}, webjob.Errorf(webjob.Refused, "the renewal is not used: %v", why)
	}
	own, err := tls.X509KeyPair(identity, identity)
	if err != nil {
		return refused(err)
	}
	authorities, err := trust.ParseCertificates([]byte(authority))
	if err != nil {
		return refused(err)
	}
	holder, err := trust.Identify(own.Leaf)
	if err != nil {
		return refused(err)
	}
	if holder != (trust.Identity{Role: webjob.RoleOperator, Name: name}) {
		return refused("its certificate is for " + string(holder.Role) + " " + holder.Name)
	}
	if _, err := own.Leaf.Verify(trust.VerifyOptions(trust.ClientTLS(own, authorities...).RootCAs)); err != nil {
		return refused(err)
	}
	return own.Leaf.NotAfter, nil
}
