package operator

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/trust"
)

// Publication is a job on its way to the server.
type Publication struct {
	Description *Description
	Scope       webjob.Scope
	Version     int64    // 0 takes the next one
	Keys        []string // names of keys; none are those of the folder that may sign
}

// Published is a version that was signed; the draft says whether others must sign, too.
type Published struct {
	webjob.JobVersion
	Draft Handed `json:"draft"`
}

// Publish uploads the payloads that the server has not yet, adds the version to the
// index of its job, and signs that.
func (j Jobs) Publish(ctx context.Context, p Publication) (Published, error) {
	d := p.Description
	var published Published
	if err := d.Check(); err != nil {
		return published, err
	}
	r, err := j.repository.trusted(ctx)
	if err != nil {
		return published, err
	}
	index, err := indexOf(r, d.Name)
	if err != nil {
		return published, err
	}
	version := p.Version
	if version == 0 {
		version = index.Latest + 1
	}
	packed, err := os.MkdirTemp("", "webjob-bundles-")
	if err != nil {
		return published, webjob.Errorf(webjob.Unavailable, "%w", err)
	}
	defer func() { _ = os.RemoveAll(packed) }() // only copies
	m, text, files, err := d.manifest(packed, version, p.Scope)
	if err != nil {
		return published, err
	}
	if err := index.Add(m, webjob.DigestOf(text)); err != nil {
		return published, err
	}
	for _, payload := range m.Payloads {
		if err := j.uploadPayload(ctx, payload, files[payload.Digest]); err != nil {
			return published, err
		}
	}
	published.JobVersion = webjob.JobVersion{
		Name: m.Name, Version: m.Version, Scope: m.Scope, Description: m.Description, Manifest: webjob.DigestOf(text), Expires: m.Expires, Payloads: m.Payloads,
	}
	published.Draft, err = j.propose(ctx, r, index, fmt.Sprintf("publish %s version %d", m.Name, m.Version), p.Keys, text)
	return published, err
}

// manifest describes the job for signing, and returns its canonical JSON and the files
// of the payloads, by digest. Folders are packed into the folder packed.
func (d *Description) manifest(packed string, version int64, scope webjob.Scope) (m *webjob.Manifest, text []byte, files map[webjob.Digest]string, err error) {
	created := time.Now().UTC().Truncate(time.Second)
	m = &webjob.Manifest{
		Format: webjob.JobFormat, Name: d.Name, Version: version, Scope: scope, Description: d.Text,
		Created: created, Expires: created.Add(time.Duration(d.ValidFor)).Truncate(time.Second),
		Interpreter: d.Interpreter, Arguments: d.Arguments, Leftovers: d.Leftovers, Limits: d.limits(),
		Collect: d.Collect.collect(d.Limits.limits()),
	}
	files = map[webjob.Digest]string{}
	for i, payload := range d.Payloads {
		described, file, err := d.describe(payload, filepath.Join(packed, strconv.Itoa(i)))
		if err != nil {
			return nil, nil, nil, err
		}
		if payload.Signature != "" {
			if described.Signature, err = os.ReadFile(filepath.Join(d.dir, payload.Signature)); err != nil {
				return nil, nil, nil, webjob.Errorf(webjob.Invalid, "signature for %s: %w", payload.Platform, err)
			}
		}
		files[described.Digest] = file
		m.Payloads = append(m.Payloads, described)
	}
	text, err = trust.EncodeManifest(m)
	return m, text, files, err
}

// indexOf returns the index of a job, an empty one when it has none yet.
func indexOf(r *trust.View, job string) (*trust.JobIndex, error) {
	if err := webjob.CheckJobName(job); err != nil {
		return nil, err
	}
	index, err := r.Index(job)
	if webjob.KindOf(err) == webjob.NotFound {
		return trust.NewJobIndex(job), nil
	}
	return index, err
}

// propose signs and hands in a new index of a job, with the manifests of versions
// that are new.
func (j Jobs) propose(ctx context.Context, r *trust.View, index *trust.JobIndex, summary string, keys []string, manifests ...[]byte) (Handed, error) {
	content, err := index.Encode()
	if err != nil {
		return Handed{}, err
	}
	draft, err := trust.Propose(r, summary, map[string][]byte{trust.JobPath(index.Job): content}, time.Now())
	if err != nil {
		return Handed{}, err
	}
	draft.Manifests = manifests
	return j.repository.Hand(ctx, r, draft, keys)
}

// Withdraw proposes to take a version, or all when it is 0, out of the signed index of a
// job. Nothing changes for anybody before enough people have signed.
func (j Jobs) Withdraw(ctx context.Context, job string, version int64, keys []string) (Handed, error) {
	r, err := j.repository.trusted(ctx)
	if err != nil {
		return Handed{}, err
	}
	index, err := r.Index(job)
	if webjob.KindOf(err) == webjob.NotFound {
		return Handed{}, webjob.Errorf(webjob.NotFound, "job %s is not published; webjobctl job list shows what is", job)
	}
	if err != nil {
		return Handed{}, err
	}
	changed, err := index.Withdraw(version)
	if err != nil {
		return Handed{}, err
	}
	if !changed {
		return Handed{DraftResponse: api.DraftResponse{Accepted: true}}, nil // it was withdrawn before
	}
	summary := "withdraw all versions of " + job
	if version > 0 {
		summary = fmt.Sprintf("withdraw %s version %d", job, version)
	}
	return j.propose(ctx, r, index, summary, keys)
}

// Restore proposes to list versions of a job again that were withdrawn.
func (j Jobs) Restore(ctx context.Context, job string, versions []int64, keys []string) (Handed, error) {
	r, err := j.repository.trusted(ctx)
	if err != nil {
		return Handed{}, err
	}
	index, err := r.Index(job)
	if webjob.KindOf(err) == webjob.NotFound {
		return Handed{}, webjob.Errorf(webjob.NotFound, "job %s is not published; webjobctl job list shows what is", job)
	}
	if err != nil {
		return Handed{}, err
	}
	var manifests [][]byte
	var names []string
	for _, version := range versions {
		m, err := j.withdrawn(ctx, job, version)
		if err != nil {
			return Handed{}, err
		}
		if err := index.Restore(trust.IndexVersion{Version: version, Scope: m.Scope, Manifest: m.Digest}); err != nil {
			return Handed{}, err
		}
		manifests = append(manifests, m.Text)
		names = append(names, strconv.FormatInt(version, 10))
	}
	return j.propose(ctx, r, index, fmt.Sprintf("list %s version %s again", job, strings.Join(names, ", ")), keys, manifests...)
}

// withdrawn gets the manifest of a version that nothing signed lists any more: it is the
// server's word, and whoever signs the draft is shown what it is.
func (j Jobs) withdrawn(ctx context.Context, job string, version int64) (*trust.SignedManifest, error) {
	var detail api.JobDetail
	if err := j.session.Call(ctx, http.MethodGet, api.OperatorJobPath(job, strconv.FormatInt(version, 10)), nil, nil, &detail); err != nil {
		return nil, err
	}
	m, err := trust.ParseManifest(detail.Text, detail.Manifest, time.Now())
	if err == nil && (m.Name != job || m.Version != version) {
		err = webjob.Errorf(webjob.Refused, "asked for %s version %d and got %s version %d; the server swapped them", job, version, m.Name, m.Version)
	}
	return m, err
}

func (j Jobs) uploadPayload(ctx context.Context, p webjob.Payload, file string) error {
	err := j.session.Call(ctx, http.MethodHead, api.OperatorBlobPath(p.Digest), nil, nil, nil)
	if kind := webjob.KindOf(err); kind != webjob.NotFound && kind != webjob.Refused { // the upload is refused in words
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return webjob.Errorf(webjob.Invalid, "payload for %s: %w", p.Platform, err)
	}
	defer func() { _ = f.Close() }() // only read
	response, err := j.session.Send(ctx, http.MethodPut, api.OperatorBlobPath(p.Digest), nil, f, p.Size)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
