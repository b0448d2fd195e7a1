package results

import (
	"context"
	"io"

	"webjob.dev/webjob"
	"webjob.dev/webjob/wire"
)

// Uploaded returns how many bytes of an upload of the client are here.
func (k *Keeper) Uploaded(ctx context.Context, client webjob.Client, digest string) (int64, error) {
	d, err := webjob.ParseDigest(digest)
	if err != nil {
		return 0, err
	}
	return k.Blobs.Uploaded(ctx, client.ID, d)
}

// CheckUpload reports what is wrong with an upload before its body is asked for.
func (k *Keeper) CheckUpload(u webjob.Upload) error {
	switch {
	case u.Size < wire.ResumableBytes || u.Offset > u.Size:
		return webjob.Errorf(webjob.Invalid, "an upload of %d bytes cannot go on at %d; it has at least %d bytes, smaller parts come with their result", u.Size, u.Offset, wire.ResumableBytes)
	case u.Size > k.maxResult:
		return webjob.Errorf(webjob.TooLarge, "the upload has %d bytes; this server takes at most %d (endpoint.max_result)", u.Size, k.maxResult)
	}
	return nil
}

// Upload adds to an upload of the client, and returns how many bytes are here then. Its whole
// size counts in what the client has here from the moment in which it is declared.
func (k *Keeper) Upload(ctx context.Context, client webjob.Client, u webjob.Upload, body io.Reader) (int64, error) {
	if err := k.CheckUpload(u); err != nil {
		return 0, err
	}
	u.Owner = client.ID
	h := k.uploadHold(client)
	h.Blobs = []webjob.HeldBlob{{Digest: u.Digest, Size: u.Size}}
	if _, err := k.Store.HoldBlobs(ctx, h); err != nil {
		return 0, err
	}
	return k.Blobs.Upload(ctx, u, body)
}

// uploadHold is what a client holds with its uploads: for longer than the bytes stay.
func (k *Keeper) uploadHold(client webjob.Client) webjob.Hold {
	return webjob.Hold{
		Owner: client.ID, Use: webjob.HoldUpload, Until: k.now().Add(uploadLife + webjob.GraceTime),
		MaxBytes: k.Rules.MaxStored(client), MaxBlobs: MaxUploads,
	}
}

// checkUploaded reports whether a part was uploaded before its result.
func (a *arrival) checkUploaded(ctx context.Context, part webjob.Stream) error {
	have, err := a.k.Blobs.Uploaded(ctx, a.client.ID, part.Digest)
	if err == nil && have != part.Size {
		return notUploaded(part)
	}
	return err
}

func notUploaded(part webjob.Stream) error {
	return webjob.Errorf(webjob.Unavailable, "part %s was not uploaded yet: there is no complete upload of %d bytes, %s; upload it, and send the result again", part.Name, part.Size, part.Digest)
}

// adopt makes a blob of what was uploaded.
func (a *arrival) adopt(ctx context.Context, part webjob.Stream) error {
	err := a.k.Blobs.Adopt(ctx, a.client.ID, part.Digest, part.Size)
	if webjob.KindOf(err) == webjob.NotFound {
		return notUploaded(part)
	}
	return err
}

// forgetUploads removes what a stored result came from. What stays after an error is
// given up with time.
func (a *arrival) forgetUploads(ctx context.Context) {
	for _, part := range a.record.Parts {
		if !wire.Resumable(part) {
			continue
		}
		err := a.k.Blobs.ForgetUpload(ctx, a.client.ID, part.Digest)
		if err == nil {
			err = a.k.Store.ReleaseBlobs(ctx, a.client.ID, webjob.HoldUpload, part.Digest)
		}
		if err != nil {
			a.k.Log.Warn("an upload was not removed", "client", a.client.ID, "digest", part.Digest, "error", err)
		}
	}
}
