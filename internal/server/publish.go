package server

import (
	"context"
	"io"
	"math"
	"time"

	"webjob.dev/webjob"
)

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
