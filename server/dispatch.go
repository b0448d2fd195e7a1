package server

import (
	"context"
	"io"

	"webjob.dev/webjob"
	"webjob.dev/webjob/wire"
)

// Job returns the version of a job that the client gets: its own, else its
// groups', else the common one. The payload for the platform comes along when it
// is small; otherwise payload is nil.
func (s *Server) Job(ctx context.Context, client webjob.Client, name string, platform webjob.Platform) (v webjob.JobVersion, payload io.ReadCloser, size int64, err error) {
	if err := webjob.CheckJobName(name); err != nil {
		return v, nil, 0, err
	}
	if platform != "" {
		if err := platform.Check(); err != nil {
			return v, nil, 0, err
		}
	}
	v, err = s.store.FindJob(ctx, name, webjob.ScopesFor(client.ID, client.Labels))
	if err != nil {
		return v, nil, 0, err
	}
	chosen, found := webjob.ChoosePayload(v.Payloads, platform)
	if !found || chosen.Size > wire.InlinePayloadBytes {
		return v, nil, 0, nil
	}
	payload, size, err = s.blobs.Open(ctx, chosen.Digest)
	return v, payload, size, err
}

// Payload opens a payload of a job that the client may get. A payload of other
// clients' jobs alone is NotFound, as one that does not exist.
func (s *Server) Payload(ctx context.Context, client webjob.Client, digest string) (io.ReadSeekCloser, int64, error) {
	d, err := webjob.ParseDigest(digest)
	if err != nil {
		return nil, 0, err
	}
	allowed, err := s.store.HasPayload(ctx, d, webjob.ScopesFor(client.ID, client.Labels))
	if err != nil {
		return nil, 0, err
	}
	if !allowed {
		return nil, 0, webjob.Errorf(webjob.NotFound, "payload %s belongs to no job of this client", d)
	}
	return s.blobs.Open(ctx, d)
}
