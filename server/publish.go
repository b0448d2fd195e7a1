package server

import (
	"context"
	"io"
	"math"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/trust"
)

// SetTrustRoot replaces the trust root that new clients get. Enrolled clients
// keep the one that they pinned.
func (s *Server) SetTrustRoot(ctx context.Context, root []byte) error {
	if _, err := trust.ParseRoot(root); err != nil {
		return err
	}
	return s.store.SetTrustRoot(ctx, root)
}

// PutPayload stores a payload before the manifest that names it is published.
func (s *Server) PutPayload(ctx context.Context, d webjob.Digest, size int64, body io.Reader) error {
	if size < 0 {
		return webjob.Errorf(webjob.Invalid, "payload %s has no Content-Length; send one", d)
	}
	if size > webjob.MaxPayloadBytes {
		return webjob.Errorf(webjob.TooLarge, "payload %s has %d bytes; at most %d", d, size, int64(webjob.MaxPayloadBytes))
	}
	return s.blobs.Put(ctx, d, size, body)
}

// Publish adds a version of a job. The signatures are checked against the current
// trust root so that a mistake shows here and not on the fleet; clients check
// again, against the root that they pinned.
func (s *Server) Publish(ctx context.Context, envelope []byte, operator string) (webjob.JobVersion, error) {
	encoded, err := s.store.TrustRoot(ctx)
	if err != nil {
		return webjob.JobVersion{}, err
	}
	root, err := trust.ParseRoot(encoded)
	if err != nil {
		return webjob.JobVersion{}, err
	}
	at := now()
	m, err := root.VerifyManifest(envelope, at)
	if err != nil {
		return webjob.JobVersion{}, err
	}
	for _, p := range m.Payloads {
		if err := s.checkPayload(ctx, p); err != nil {
			return webjob.JobVersion{}, err
		}
	}
	v := webjob.JobVersion{
		Name: m.Name, Version: m.Version, Scope: m.Scope, Description: m.Description, Manifest: m.Digest,
		PublishedAt: at, PublishedBy: operator, Expires: m.Expires, Payloads: m.Payloads, Envelope: envelope,
	}
	return v, s.store.Publish(ctx, v)
}

func (s *Server) checkPayload(ctx context.Context, p webjob.Payload) error {
	content, size, err := s.blobs.Open(ctx, p.Digest)
	if webjob.KindOf(err) == webjob.NotFound {
		return webjob.Errorf(webjob.Invalid, "payload %s for %s was not uploaded; upload it first", p.Digest, p.Platform)
	}
	if err != nil {
		return err
	}
	if err := content.Close(); err != nil {
		return err
	}
	if size != p.Size {
		return webjob.Errorf(webjob.Invalid, "payload %s for %s has %d bytes, the manifest says %d", p.Digest, p.Platform, size, p.Size)
	}
	return nil
}

// seconds turns a number from outside into a span without overflow.
func seconds(n int64) time.Duration {
	if n > math.MaxInt64/int64(time.Second) {
		return math.MaxInt64
	}
	return time.Duration(max(n, 0)) * time.Second
}
