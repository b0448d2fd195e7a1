package endpoint

import (
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
	ticket    func() (string, error) // the newest
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
		return nil, webjob.Errorf(webjob.Conflict, "%s is enrolled already; remove %s to enrol it anew", s.Dir(), folder)
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
	draft, err := os.MkdirTemp(s.Dir(), ".enrol-*")
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
	return s.Enrolments.With(target)
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
	if err := checkCertificates(response.Certificate); err != nil {
		return nil, nil, err
	}
	if webjob.DigestOf(response.TrustRoot) != token.Root {
		return nil, nil, webjob.Errorf(webjob.Refused, "%s gave another root of the job repository than the token pins; nothing was stored", address)
	}
	if _, err := trust.NewView(response.TrustRoot); err != nil {
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

// damaged tells of an enrolment that cannot be read, and what helps.
func damaged(folder, what string, err error) error {
	return webjob.Errorf(webjob.Invalid, "%s is damaged: %w; remove %s and enrol again, with a token that an admin makes: webjobctl client readmit CLIENT --new-key", what, err, folder)
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

// Expires returns when the certificate ends.
func (e *Enrolment) Expires() time.Time { return e.config.Certificates[0].Leaf.NotAfter }

// Signers returns how many of the people who signed the pinned root must sign, and the
// fingerprints of their keys.
func (e *Enrolment) Signers() (threshold int, fingerprints []string, err error) {
	r, err := trust.NewView(e.TrustRoot)
	if err != nil {
		return 0, nil, err
	}
	keys, threshold, err := r.Signers()
	for _, key := range keys {
		fingerprints = append(fingerprints, key.Fingerprint())
	}
	return threshold, fingerprints, err
}
