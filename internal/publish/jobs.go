package publish

import (
	"context"
	"io"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/rules"
	"webjob.dev/webjob/wire"
)

// Rules is what the room asks of the configuration.
type Rules interface {
	None() bool
	Ask(ctx context.Context, event webjob.Event, client webjob.Client) (rules.Said, error)
	Deliveries(event webjob.Event, subject webjob.Subject) []webjob.Delivery
}

// Jobs gives jobs to clients.
type Jobs struct {
	store    Store
	blobs    webjob.Blobs
	rules    Rules
	wake     func() // called when something is to be delivered
	payloads *payloads
}

// NewJobs returns what gives the jobs of a store to clients.
func NewJobs(store Store, blobs webjob.Blobs, r Rules, wake func()) (*Jobs, error) {
	payloads, err := newPayloads(blobs)
	return &Jobs{store: store, blobs: blobs, rules: r, wake: wake, payloads: payloads}, err
}

// Version returns the version of a job that the client gets: the one that is asked for
// when it is one of the client's, else its own, its groups', the common one.
func (j *Jobs) Version(ctx context.Context, client webjob.Client, name string, version int64) (webjob.JobVersion, error) {
	if err := webjob.CheckJobName(name); err != nil {
		return webjob.JobVersion{}, err
	}
	scopes := webjob.ScopesFor(client.ID, client.Labels)
	if version == 0 {
		return j.store.FindJob(ctx, name, scopes)
	}
	return j.store.FindVersion(ctx, name, version, scopes)
}

// Job asks the hooks whether the client may get the version, and returns the payload
// for its platform when that is small; otherwise nil.
func (j *Jobs) Job(ctx context.Context, client webjob.Client, v webjob.JobVersion, q wire.JobQuery) ([]byte, error) {
	if err := j.askAboutGet(ctx, client, v, q.Run); err != nil {
		return nil, err
	}
	chosen, found := webjob.ChoosePayload(v.Payloads, q.Platform)
	if !found || chosen.Size > wire.InlinePayloadBytes {
		return nil, nil
	}
	return j.payloads.get(ctx, chosen.Digest)
}

// askAboutGet asks the hooks of a get and tells its triggers.
func (j *Jobs) askAboutGet(ctx context.Context, client webjob.Client, v webjob.JobVersion, run string) error {
	if err := webjob.CheckRunOwner(run, client.ID); err != nil {
		return err
	}
	if j.rules.None() {
		return nil
	}
	event := rules.NewEvent(webjob.OnGet, client)
	event.Job, event.Version, event.Run = v.Name, v.Version, run
	said, err := j.rules.Ask(ctx, event, client)
	if err != nil {
		return err
	}
	if len(said.Notes) > 0 && run != "" {
		if err := j.store.AddNotes(ctx, client.ID, run, said.Notes); err != nil {
			return err
		}
	}
	deliveries := j.rules.Deliveries(event, client.Subject())
	if len(deliveries) == 0 {
		return nil
	}
	defer j.wake()
	return j.store.AddDeliveries(ctx, deliveries)
}

// Payload opens a payload of a job that the client may get. A payload of other
// clients' jobs alone is NotFound, as one that does not exist.
func (j *Jobs) Payload(ctx context.Context, client webjob.Client, digest string) (io.ReadSeekCloser, int64, error) {
	d, err := webjob.ParseDigest(digest)
	if err != nil {
		return nil, 0, err
	}
	allowed, err := j.store.HasPayload(ctx, d, webjob.ScopesFor(client.ID, client.Labels))
	if err != nil {
		return nil, 0, err
	}
	if !allowed {
		return nil, 0, webjob.Errorf(webjob.NotFound, "payload %s belongs to no job of this client", d)
	}
	return j.blobs.Open(ctx, d)
}
