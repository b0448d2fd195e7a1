package endpoint

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/durable"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// Files of an enrolment.
const (
	enrolmentFile = "enrolment.json"
	identityFile  = "identity.pem" // private key and certificate
)

// Enrolment is what a client keeps about a server that let it in.
type Enrolment struct {
	URL       string        `json:"url"`
	ID        string        `json:"id"`
	Labels    webjob.Labels `json:"labels,omitempty"`
	Authority string        `json:"authority"`  // CA certificates, PEM
	TrustRoot []byte        `json:"trust_root"` // root of the job repository, pinned
	config    *tls.Config
	ticket    func() (string, error) // of the last job; nil when jobs come from elsewhere
}

// Target says which of the two servers of a client an enrolment is for.
type Target string

// The targets: the server that serves jobs, and another one that only receives
// results.
const (
	TargetGet Target = getFolder
	TargetPut Target = putFolder
)

// Enroll makes a key, proves itself to the server with the token, checks that the
// server is the one that the token names and that it gives the trust root that the
// token pins, and keeps all of that in the state folder: whole or not at all. When
// address is empty the token's is used.
func Enroll(ctx context.Context, s *State, target Target, token trust.Token, address, id string) (*Enrolment, error) {
	if err := webjob.CheckClientID(id); err != nil {
		return nil, err
	}
	folder := s.path(string(target))
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		return nil, webjob.Errorf(webjob.Conflict, "%s is enrolled already; remove %s to enrol it anew", s.dir, folder)
	}
	if token.Root == webjob.EmptyDigest {
		return nil, webjob.Errorf(webjob.Invalid, "this token is for an operator; make one for a client with webjobctl token new")
	}
	if address == "" {
		address = token.URL
	}
	e, identity, err := request(ctx, token, address, id)
	if err != nil {
		return nil, err
	}
	draft, err := os.MkdirTemp(s.dir, ".enrol-*")
	if err != nil {
		return nil, webjob.Errorf(webjob.Unavailable, "state folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(draft) }() // renamed already on success
	encoded, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return nil, err
	}
	for name, content := range map[string][]byte{enrolmentFile: encoded, identityFile: identity} {
		if err := durable.Write(filepath.Join(draft, name), content); err != nil {
			return nil, webjob.Errorf(webjob.Unavailable, "state folder: %w", err)
		}
	}
	if err := durable.Rename(draft, folder); err != nil {
		return nil, webjob.Errorf(webjob.Unavailable, "state folder: %w", err)
	}
	return s.Enrolment(target)
}

// request asks the server for a certificate and checks its answer.
func request(ctx context.Context, token trust.Token, address, id string) (*Enrolment, []byte, error) {
	parsed, err := url.Parse(address)
	if err != nil || trust.CheckServerURL(address) != nil {
		return nil, nil, trust.CheckServerURL(address)
	}
	key, err := trust.GenerateKey(trust.ECDSA)
	if err != nil {
		return nil, nil, err
	}
	csr, err := trust.CertificateRequest(key, id)
	if err != nil {
		return nil, nil, err
	}
	var authority *x509.Certificate
	config := trust.FirstContactTLS(token.CA, parsed.Hostname(), func(c *x509.Certificate) { authority = c })
	c := wire.NewClient(address, config)
	defer c.Close()
	var response wire.EnrollResponse
	err = c.Call(ctx, http.MethodPost, wire.PathEnroll, nil, wire.EnrollRequest{
		Secret: token.Secret[:], ID: id, Platform: webjob.ThisPlatform, CertificateRequest: csr, TrustRoot: token.Root,
	}, &response)
	if err != nil {
		return nil, nil, err
	}
	if webjob.DigestOf(response.TrustRoot) != token.Root {
		return nil, nil, webjob.Errorf(webjob.Refused, "%s gave another root of the job repository than the token pins; nothing was stored", address)
	}
	if _, err := trust.NewRepository(response.TrustRoot); err != nil {
		return nil, nil, err
	}
	if response.Labels.String() != token.Labels.String() {
		return nil, nil, webjob.Errorf(webjob.Refused, "%s gave labels %q and the token gives %q; nothing was stored", address, response.Labels, token.Labels)
	}
	keyPEM, err := key.PrivatePEM()
	if err != nil {
		return nil, nil, err
	}
	e := &Enrolment{
		URL: address, ID: response.ID, Labels: response.Labels,
		Authority: string(trust.CertificatePEM(authority)), TrustRoot: response.TrustRoot,
	}
	identity := append(keyPEM, response.Certificate...)
	if err := e.load(identity); err != nil {
		return nil, nil, err
	}
	if e.ID != id {
		return nil, nil, webjob.Errorf(webjob.Refused, "%s gave a certificate for %.80q instead of %s; nothing was stored", address, e.ID, id)
	}
	return e, identity, nil
}

// Enrolment reads what Enroll kept. A client without one is NotFound.
func (s *State) Enrolment(target Target) (*Enrolment, error) {
	folder := s.path(string(target))
	encoded, err := os.ReadFile(filepath.Join(folder, enrolmentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, webjob.Errorf(webjob.NotFound, "%s is not enrolled; run webjob enroll first", s.dir)
	}
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	identity, err := readIdentity(folder)
	if err != nil {
		return nil, err
	}
	if known := s.known(target, encoded, identity); known != nil {
		return known, nil
	}
	e := &Enrolment{}
	if err := json.Unmarshal(encoded, e); err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%s is damaged: %w; enrol again", filepath.Join(folder, enrolmentFile), err)
	}
	if err := e.load(identity); err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%s is damaged: %w; enrol again", folder, err)
	}
	if target == TargetGet {
		e.ticket = s.RunTicket
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded[target] = loaded{encoded: encoded, identity: identity, enrolment: e}
	return e, nil
}

// loaded is an enrolment with the bytes that it was made of.
type loaded struct {
	encoded, identity []byte
	enrolment         *Enrolment
}

// known returns the enrolment that was made of the same bytes before, nil for none:
// another process may have renewed it.
func (s *State) known(target Target, encoded, identity []byte) *Enrolment {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.loaded[target]; bytes.Equal(l.encoded, encoded) && bytes.Equal(l.identity, identity) {
		return l.enrolment
	}
	return nil
}

// readIdentity reads the private key and the certificate.
func readIdentity(folder string) ([]byte, error) {
	identity, err := os.ReadFile(filepath.Join(folder, identityFile))
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	return identity, nil
}

// load checks everything and makes the TLS configuration.
func (e *Enrolment) load(identity []byte) error {
	if err := trust.CheckServerURL(e.URL); err != nil {
		return err
	}
	if err := errors.Join(webjob.CheckClientID(e.ID), e.Labels.Check()); err != nil {
		return err
	}
	var err error
	authorities, err := trust.ParseCertificates([]byte(e.Authority))
	if err != nil {
		return err
	}
	own, err := tls.X509KeyPair(identity, identity)
	if err != nil {
		return webjob.Errorf(webjob.Invalid, "key and certificate: %w", err)
	}
	holder, err := trust.Identify(own.Leaf)
	if err != nil {
		return err
	}
	if holder != (trust.Identity{Role: webjob.RoleClient, Name: e.ID}) {
		return webjob.Errorf(webjob.Refused, "the certificate is for %s %s, not for client %s", holder.Role, holder.Name, e.ID)
	}
	e.config = trust.ClientTLS(own, authorities...)
	return nil
}

// Connect returns a client for the server.
func (e *Enrolment) Connect() *wire.Client {
	c := wire.NewClient(e.URL, e.TLS())
	c.Ticket = e.ticket
	return c
}

// TLS returns the configuration that Connect uses.
func (e *Enrolment) TLS() *tls.Config { return e.config.Clone() }

// IdentityFor returns the TLS configuration with this client's identity for a URL of a
// server that it is enrolled with, nil for any other.
func (s *State) IdentityFor(address string) (*tls.Config, error) {
	e, err := s.enrolmentWhere(func(e *Enrolment) bool { return address == e.URL || strings.HasPrefix(address, e.URL+"/") })
	if e == nil {
		return nil, err
	}
	return e.TLS(), nil
}

// enrolmentFor returns the enrolment with the server at the URL.
func (s *State) enrolmentFor(address string) (*Enrolment, error) {
	e, err := s.enrolmentWhere(func(e *Enrolment) bool { return e.URL == address })
	if e == nil && err == nil {
		err = webjob.Errorf(webjob.Invalid, "this client is not enrolled with %s; run webjob enroll --put with a token of that server", address)
	}
	return e, err
}

// enrolmentWhere returns the first enrolment that is meant, nil when there is none.
func (s *State) enrolmentWhere(meant func(*Enrolment) bool) (*Enrolment, error) {
	for _, target := range []Target{TargetGet, TargetPut} {
		e, err := s.Enrolment(target)
		if webjob.KindOf(err) == webjob.NotFound {
			continue
		}
		if err != nil || meant(e) {
			return e, err
		}
	}
	return nil, nil
}

// Expires returns when the certificate ends.
func (e *Enrolment) Expires() time.Time { return e.config.Certificates[0].Leaf.NotAfter }

// Signers returns how many of the people who signed the pinned root must sign, and the
// fingerprints of their keys.
func (e *Enrolment) Signers() (threshold int, fingerprints []string, err error) {
	r, err := trust.NewRepository(e.TrustRoot)
	if err != nil {
		return 0, nil, err
	}
	keys, threshold, err := r.Signers()
	for _, key := range keys {
		fingerprints = append(fingerprints, key.Fingerprint())
	}
	return threshold, fingerprints, err
}
