package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/audit"
	"webjob.dev/webjob/internal/results"
	"webjob.dev/webjob/internal/trust"
)

// AuthorityOf lets tests issue certificates as the server would.
func AuthorityOf(s *Server) *trust.Authority { return s.authority }

// TidyAt does what housekeeping would do at a time.
func TidyAt(ctx context.Context, s *Server, at time.Time) error {
	return errors.Join(s.tidy(ctx, at), s.results.Tidy(ctx, at))
}

// ResultsOf returns the room of results.
func ResultsOf(s *Server) *results.Keeper { return s.results }

// Cloned does what follows when two hold one identity.
func Cloned(s *Server, clone webjob.Clone) { s.chains.notify(clone) }

// Readmit lets a client begin anew.
func Readmit(ctx context.Context, s *Server, id string) error { return s.identity.Readmit(ctx, id) }

// FolderOf tells where the server's configuration is.
func FolderOf(s *Server) string { return s.settings.dir }

// NewRepository makes the server accept the first draft of a repository that the key signs.
func NewRepository(ctx context.Context, s *Server, key *trust.PrivateKey) error {
	d, err := trust.NewDraft([]trust.NamedKey{trust.NewNamedKey("alice", key.PublicKey)}, 1, s.repository.Online(), now())
	if err != nil {
		return err
	}
	return accept(ctx, s, d, key)
}

// Publish makes the server accept a version of a job that the key signs.
func Publish(ctx context.Context, s *Server, m *webjob.Manifest, key *trust.PrivateKey) error {
	contents, text, err := Publication(m)
	if err != nil {
		return err
	}
	return Accept(ctx, s, key, contents, text)
}

// Propose hands in a version of a job that nobody has signed.
func Propose(ctx context.Context, s *Server, m *webjob.Manifest) error {
	contents, text, err := Publication(m)
	if err != nil {
		return err
	}
	return Accept(ctx, s, nil, contents, text)
}

// Publication returns the contents of a draft that publishes a version, and the manifest.
func Publication(m *webjob.Manifest) (contents map[string][]byte, text []byte, err error) {
	if text, err = trust.EncodeManifest(m); err != nil {
		return nil, nil, err
	}
	index := trust.NewJobIndex(m.Name)
	if err := index.Add(m, webjob.DigestOf(text)); err != nil {
		return nil, nil, err
	}
	content, err := index.Encode()
	return map[string][]byte{trust.JobPath(m.Name): content}, text, err
}

func accept(ctx context.Context, s *Server, d *trust.Draft, key *trust.PrivateKey) error {
	current, _, err := s.repository.Published()
	if err != nil && webjob.KindOf(err) != webjob.NotFound {
		return err
	}
	if key != nil {
		if _, err := d.Sign(current.View, key); err != nil {
			return err
		}
	}
	_, err = s.repository.Propose(ctx, d, "olga")
	return err
}

// PutPayload uploads a payload.
func PutPayload(ctx context.Context, s *Server, content []byte) error {
	return s.repository.PutPayload(ctx, webjob.DigestOf(content), int64(len(content)), bytes.NewReader(content))
}

// AskNobody takes the places for asking hooks until the returned function is called.
func AskNobody(ctx context.Context, s *Server) (done func()) {
	var leave []func()
	for i := range maxAsking {
		done, err := s.rules.Places.Take(ctx, fmt.Sprint("client", i))
		if err != nil {
			panic(err)
		}
		leave = append(leave, done)
	}
	return func() {
		for _, done := range leave {
			done()
		}
	}
}

// Accept signs a change of the job repository with the key, and makes the server accept
// it; without a key it waits.
func Accept(ctx context.Context, s *Server, key *trust.PrivateKey, contents map[string][]byte, manifests ...[]byte) error {
	current, _, err := s.repository.Published()
	if err != nil {
		return err
	}
	d, err := trust.Propose(current.View, "change", contents, now())
	if err != nil {
		return err
	}
	d.Manifests = manifests
	return accept(ctx, s, d, key)
}

// NewDraft returns a draft of a change, which nobody has signed.
func NewDraft(s *Server, summary string, contents map[string][]byte) (*trust.Draft, error) {
	current, _, err := s.repository.Published()
	if err != nil {
		return nil, err
	}
	return trust.Propose(current.View, summary, contents, now())
}

// Waiting returns the draft that waits for signatures.
func Waiting(s *Server) *trust.Draft { return s.repository.Drafts()[0] }

// SignDraft signs a draft as it is handed out.
func SignDraft(s *Server, d *trust.Draft, key *trust.PrivateKey) error {
	current, _, err := s.repository.Published()
	if err != nil {
		return err
	}
	_, err = d.Sign(current.View, key)
	return err
}

// RootOf returns the root of the job repository.
func RootOf(s *Server) []byte {
	current, _, err := s.repository.Published()
	if err != nil {
		panic(err)
	}
	return current.Roots[0]
}

// OperatorRoute is what a line of the operator listener's table says.
type OperatorRoute struct {
	Pattern    string
	Right      webjob.Right
	Everywhere bool
	Action     string
	Changes    bool
}

// OperatorRoutes returns the table.
func OperatorRoutes(s *Server) (lines []OperatorRoute) {
	for _, line := range s.operatorTable() {
		lines = append(lines, OperatorRoute{line.pattern, line.right, line.on == all, line.action, line.changes})
	}
	return lines
}

// AddRoute adds a route to a table.
func AddRoute(s *Server, pattern string, right webjob.Right, action string) {
	s.routes("operator").operate(route{pattern: pattern, right: right, action: action})
}

// WatchOperators makes an HTTP server tell of its connections, as Serve does.
func WatchOperators(s *Server, h *http.Server) { s.operators.Watch(h) }

// Connected returns how many connections an operator has.
func Connected(s *Server, operator string) int { return s.operators.Open(operator) }

// brokenAudit is an audit log that cannot be written.
type brokenAudit struct{ webjob.Audit }

func (brokenAudit) RecordActs(context.Context, ...webjob.Act) error {
	return webjob.Errorf(webjob.Unavailable, "disk full")
}

// BreakAudit makes the audit log fail.
func BreakAudit(s *Server) { s.record.Log = audit.New(brokenAudit{}) }

// TakeLarge takes one of the places for requests of a client that are not small.
func TakeLarge(ctx context.Context, s *Server, client string) (leave func(), err error) {
	return s.large.Take(ctx, string(webjob.RoleClient)+" "+client)
}

// WithBounds sets the bounds that every listener has.
func WithBounds(h *http.Server) { withBounds(h) }

// UseCertificate loads the server's certificate, as Serve does.
func UseCertificate(s *Server) (err error) {
	s.certificate, err = s.settings.identityFolder().Certificate(s.authority, s.log)
	return err
}

// MakeCAFuture moves the CA's beginning into the future.
func MakeCAFuture(s *Server) { s.authority.Certificate.NotBefore = now().Add(time.Hour) }
