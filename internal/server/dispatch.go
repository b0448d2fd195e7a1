package server

import (
	"context"
	"io"

	"webjob.dev/webjob"
	"webjob.dev/webjob/wire"
)

// Job returns the version of a job that the client gets: the one that is asked for
// when it is one of the client's, else its own, its groups', the common one. The
// payload for the platform comes along when it is small; otherwise payload is nil.
func (s *Server) Job(ctx context.Context, client webjob.Client, name string, q wire.JobQuery) (v webjob.JobVersion, payload []byte, err error) {
	if err := webjob.CheckJobName(name); err != nil {
		return v, nil, err
	}
	scopes := webjob.ScopesFor(client.ID, client.Labels)
	if q.Version == 0 {
		v, err = s.store.FindJob(ctx, name, scopes)
	} else {
		v, err = s.store.FindVersion(ctx, name, q.Version, scopes)
	}
	if err != nil {
		return v, nil, err
	}
	if err := s.askAboutGet(ctx, client, v, q.Run); err != nil {
		return v, nil, err
	}
	chosen, found := webjob.ChoosePayload(v.Payloads, q.Platform)
	if !found || chosen.Size > wire.InlinePayloadBytes {
		return v, nil, nil
	}
	payload, err = s.payloads.get(ctx, chosen.Digest)
	return v, payload, err
}

// askAboutGet asks the hooks of a get and tells its triggers.
func (s *Server) askAboutGet(ctx context.Context, client webjob.Client, v webjob.JobVersion, run string) error {
	if p := s.policy.Load(); len(p.hooks)+len(p.triggers) == 0 {
		return nil
	}
	event := newEvent(webjob.OnGet, client)
	event.Job, event.Version, event.Run = v.Name, v.Version, run
	said, err := s.ask(ctx, event, client)
	if err != nil {
		return err
	}
	if len(said.notes) > 0 && run != "" {
		if err := s.store.AddNotes(ctx, run, said.notes); err != nil {
			return err
		}
	}
	deliveries := s.deliveries(event, client.Subject())
	if len(deliveries) == 0 {
		return nil
	}
	defer s.outbox.Wake()
	return s.store.AddDeliveries(ctx, deliveries)
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
