package operator

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/trust"
	"webjob.dev/webjob/wire"
)

// Publication is a job on its way to the server.
type Publication struct {
	Description *Description
	Scope       webjob.Scope
	Version     int64 // 0 takes the next one
	Keys        []*trust.PrivateKey
}

// Publish uploads the payloads that the server has not yet, signs the manifest,
// and publishes it.
func (s *Session) Publish(ctx context.Context, p Publication) (webjob.JobVersion, error) {
	d := p.Description
	if err := d.Check(); err != nil {
		return webjob.JobVersion{}, err
	}
	var published webjob.JobVersion
	version := p.Version
	if version == 0 {
		var latest wire.LatestResponse
		if err := s.Call(ctx, http.MethodGet, wire.OperatorJobPath(d.Name, "latest"), nil, nil, &latest); err != nil {
			return published, err
		}
		version = latest.Version + 1
	}
	created := time.Now().UTC().Truncate(time.Second)
	m := &webjob.Manifest{
		Format: webjob.JobFormat, Name: d.Name, Version: version, Scope: p.Scope, Description: d.Text,
		Created: created, Expires: created.Add(time.Duration(d.ValidFor)).Truncate(time.Second),
		Interpreter: d.Interpreter, Arguments: d.Arguments, Leftovers: d.Leftovers, Limits: d.Limits.limits(),
	}
	files := map[webjob.Digest]string{}
	for _, payload := range d.Payloads {
		file := filepath.Join(d.dir, payload.File)
		described, err := describePayload(payload.Platform, file)
		if err != nil {
			return published, err
		}
		files[described.Digest] = file
		m.Payloads = append(m.Payloads, described)
	}
	envelope, err := trust.SignManifest(m, p.Keys...)
	if err != nil {
		return published, err
	}
	for _, payload := range m.Payloads {
		if err := s.uploadPayload(ctx, payload, files[payload.Digest]); err != nil {
			return published, err
		}
	}
	err = s.Call(ctx, http.MethodPost, wire.PathOperatorJobs, nil, wire.PublishRequest{Envelope: envelope}, &published)
	return published, err
}

func describePayload(platform webjob.Platform, file string) (webjob.Payload, error) {
	f, err := os.Open(file)
	if err != nil {
		return webjob.Payload{}, webjob.Errorf(webjob.Invalid, "payload for %s: %w", platform, err)
	}
	d, size, err := webjob.DigestReader(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return webjob.Payload{}, webjob.Errorf(webjob.Invalid, "payload for %s: %w", platform, err)
	}
	if size == 0 {
		return webjob.Payload{}, webjob.Errorf(webjob.Invalid, "payload for %s: %s is empty", platform, file)
	}
	return webjob.Payload{Platform: platform, Digest: d, Size: size}, nil
}

func (s *Session) uploadPayload(ctx context.Context, p webjob.Payload, file string) error {
	err := s.Call(ctx, http.MethodHead, wire.OperatorBlobPath(p.Digest), nil, nil, nil)
	if webjob.KindOf(err) != webjob.NotFound {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return webjob.Errorf(webjob.Invalid, "payload for %s: %w", p.Platform, err)
	}
	defer func() { _ = f.Close() }() // only read
	response, err := s.Send(ctx, http.MethodPut, wire.OperatorBlobPath(p.Digest), nil, f, p.Size)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
