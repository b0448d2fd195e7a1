package server

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
)

// AuthorityOf lets tests issue certificates as the server would.
func AuthorityOf(s *Server) *trust.Authority { return s.authority }

// TidyAt does what housekeeping would do at a time.
func TidyAt(ctx context.Context, s *Server, at time.Time) error { return s.tidy(ctx, at) }

// Cloned does what follows when two hold one identity.
func Cloned(s *Server, clone webjob.Clone) { s.cloned(clone) }

// FolderOf tells where the server's configuration is.
func FolderOf(s *Server) string { return s.settings.dir }

// NewRepository lands the first draft of a repository that the key signs.
func NewRepository(ctx context.Context, s *Server, key *trust.PrivateKey) error {
	d, err := trust.NewDraft([]trust.NamedKey{trust.NewNamedKey("alice", key.PublicKey)}, 1, s.repository.Online(), now())
	if err != nil {
		return err
	}
	return land(ctx, s, d, key)
}

// Publish lands a version of a job that the key signs.
func Publish(ctx context.Context, s *Server, m *webjob.Manifest, key *trust.PrivateKey) error {
	view, _, _, err := s.repository.View()
	if err != nil {
		return err
	}
	text, err := trust.EncodeManifest(m)
	if err != nil {
		return err
	}
	index := trust.NewJobIndex(m.Name)
	if err := index.Add(m, webjob.DigestOf(text)); err != nil {
		return err
	}
	content, err := index.Encode()
	if err != nil {
		return err
	}
	d, err := view.Propose("publish", map[string][]byte{trust.JobPath(m.Name): content}, now())
	if err != nil {
		return err
	}
	d.Manifests = [][]byte{text}
	return land(ctx, s, d, key)
}

func land(ctx context.Context, s *Server, d *trust.Draft, key *trust.PrivateKey) error {
	view, _, _, err := s.repository.View()
	if err != nil && webjob.KindOf(err) != webjob.NotFound {
		return err
	}
	if _, err := d.Sign(view, key); err != nil {
		return err
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
