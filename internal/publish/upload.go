package publish

import (
	"context"
	"io"
	"slices"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
)

// PutPayload stores a payload before the manifest that names it is published.
func (r *Repository) PutPayload(ctx context.Context, d webjob.Digest, size int64, body io.Reader) error {
	if size < 0 {
		return webjob.Errorf(webjob.Invalid, "payload %s has no Content-Length; send one", d)
	}
	if size > webjob.MaxPayloadBytes {
		return webjob.Errorf(webjob.TooLarge, "payload %s has %d bytes; at most %d", d, size, int64(webjob.MaxPayloadBytes))
	}
	return r.blobs.Put(ctx, d, size, body)
}

// HasPayload reports whether a payload was uploaded.
func (r *Repository) HasPayload(ctx context.Context, d webjob.Digest) (bool, error) {
	return r.blobs.Has(ctx, d)
}

// OpenPayload opens a payload for operators, who look at it before they sign. Among the
// blobs there are parts of results, too: only what a version of a job or a draft that
// waits names is a payload.
func (r *Repository) OpenPayload(ctx context.Context, d webjob.Digest) (io.ReadSeekCloser, error) {
	is, err := r.store.IsPayload(ctx, d)
	if err != nil {
		return nil, err
	}
	if !is && !r.proposes(d) {
		return nil, webjob.Errorf(webjob.NotFound, "no job and no draft that waits has a payload %s", d)
	}
	content, _, err := r.blobs.Open(ctx, d)
	return content, err
}

// proposes reports whether a draft that waits has the payload.
func (r *Repository) proposes(d webjob.Digest) bool {
	for _, draft := range r.Drafts() {
		for _, text := range draft.Manifests {
			m, err := trust.ParseManifest(text, webjob.DigestOf(text), draft.Created)
			if err == nil && slices.ContainsFunc(m.Payloads, func(p webjob.Payload) bool { return p.Digest == d }) {
				return true
			}
		}
	}
	return false
}

// checkPayloads makes sure that the payloads of new versions were uploaded.
func (r *Repository) checkPayloads(ctx context.Context, d *trust.Draft) error {
	for _, text := range d.Manifests {
		m, err := trust.ParseManifest(text, webjob.DigestOf(text), now())
		if err != nil {
			return err
		}
		for _, p := range m.Payloads {
			if err := r.checkPayload(ctx, p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Repository) checkPayload(ctx context.Context, p webjob.Payload) error {
	content, size, err := r.blobs.Open(ctx, p.Digest)
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
