package publish

import (
	"context"
	"io"
	"slices"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
)

// payloadStore takes the payloads of versions to come, and gives them to who signs.
type payloadStore struct{ *signed }

// PutPayload stores a payload before the manifest that names it is published. From then on
// there is the grace time to propose it.
func (r payloadStore) PutPayload(ctx context.Context, d webjob.Digest, size int64, body io.Reader) error {
	if size < 0 {
		return webjob.Errorf(webjob.Invalid, "payload %s has no Content-Length; send one", d)
	}
	if size > webjob.MaxPayloadBytes {
		return webjob.Errorf(webjob.TooLarge, "payload %s has %d bytes; at most %d", d, size, int64(webjob.MaxPayloadBytes))
	}
	payload := webjob.HeldBlob{Digest: d, Size: size}
	if _, err := r.hold(ctx, webjob.HoldPayload, payload); err != nil {
		return err
	}
	if err := r.blobs.Put(ctx, d, size, body); err != nil {
		return err
	}
	_, err := r.hold(ctx, webjob.HoldPayload, payload) // it may have taken long
	return err
}

// HasPayload reports whether a payload was uploaded. It is there for the grace time then.
func (r payloadStore) HasPayload(ctx context.Context, d webjob.Digest) (bool, error) {
	if _, err := r.hold(ctx, webjob.HoldPayload, webjob.HeldBlob{Digest: d}); err != nil {
		return false, err
	}
	return r.blobs.Has(ctx, d)
}

// OpenPayload opens a payload for operators, who look at it before they sign. Among the
// blobs there are parts of results, too: only what a version of a job or a draft that
// waits names is a payload.
func (r payloadStore) OpenPayload(ctx context.Context, d webjob.Digest) (io.ReadSeekCloser, error) {
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
func (r payloadStore) proposes(d webjob.Digest) bool {
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

// hold holds payloads from before they are looked for.
func (r payloadStore) hold(ctx context.Context, use string, payloads ...webjob.HeldBlob) ([]int64, error) {
	if len(payloads) == 0 {
		return nil, nil
	}
	return r.store.HoldBlobs(ctx, webjob.Hold{Use: use, Blobs: payloads, Until: now().Add(webjob.GraceTime)})
}

// HoldDrafts holds the payloads of the drafts that wait: those of a version before this one
// are not held yet. Call it before blobs are swept.
func (r drafts) HoldDrafts(ctx context.Context) error {
	for _, d := range r.Drafts() {
		if len(d.Manifests) == 0 {
			continue
		}
		err := r.changing(ctx, func() error {
			d, err := r.Draft(d.ID)
			if err != nil {
				return nil //nolint:nilerr // it waits no more
			}
			held, err := r.holdPayloads(ctx, d)
			if webjob.KindOf(err) == webjob.Invalid {
				r.log.Warn("a draft cannot take effect", "draft", d.ID, "error", err)
				return nil
			}
			if err != nil {
				return err
			}
			return r.setDraft(ctx, d.ID, d, held)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// holdPayloads holds the payloads of new versions, and makes sure that they were uploaded.
func (r payloadStore) holdPayloads(ctx context.Context, d *trust.Draft) ([]int64, error) {
	var payloads []webjob.Payload
	var blobs []webjob.HeldBlob
	for _, text := range d.Manifests {
		m, err := trust.ParseManifest(text, webjob.DigestOf(text), now())
		if err != nil {
			return nil, err
		}
		for _, p := range m.Payloads {
			payloads, blobs = append(payloads, p), append(blobs, webjob.HeldBlob{Digest: p.Digest, Size: p.Size})
		}
	}
	held, err := r.hold(ctx, draftFiles+d.ID, blobs...)
	if err != nil {
		return nil, err
	}
	for _, p := range payloads {
		if err := r.checkPayload(ctx, p); err != nil {
			return nil, err
		}
	}
	return held, nil
}

func (r payloadStore) checkPayload(ctx context.Context, p webjob.Payload) error {
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
