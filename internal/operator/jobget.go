package operator

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/bundle"
	"webjob.dev/webjob/internal/trust"
)

// WritePayload writes a payload to w. An error says that what was written is not it.
func (j Jobs) WritePayload(ctx context.Context, p webjob.Payload, w io.Writer) error {
	response, err := j.session.Send(ctx, http.MethodGet, api.OperatorBlobPath(p.Digest), nil, nil, -1)
	if err != nil {
		return err
	}
	digester := webjob.NewDigester()
	_, err = io.Copy(io.MultiWriter(w, digester), io.LimitReader(response.Body, p.Size+1))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return webjob.Errorf(webjob.Unavailable, "payload %s: %w", p.Digest, err)
	}
	if digester.Size() != p.Size || digester.Digest() != p.Digest {
		return webjob.Errorf(webjob.Refused, "what the server gave has %s and the manifest names %s of %d bytes; the server's copy was changed", digester.Digest(), p.Digest, p.Size)
	}
	return nil
}

// JobRequest asks for what a version of a job runs.
type JobRequest struct {
	Name     string
	Version  int64           // 0 is the newest
	Draft    string          // of this draft, as proposed; "" is what is published
	Platform webjob.Platform // for this one; "" is all
	To       string          // folder
	Unpack   bool            // bundles
}

// SavedJob is what was written of a job.
type SavedJob struct {
	Name     string        `json:"name"`
	Version  int64         `json:"version"`
	Manifest webjob.Digest `json:"manifest"`
	Draft    string        `json:"draft,omitempty"`     // proposed there: not signed by enough people
	SignedBy []string      `json:"signed_by,omitempty"` // of a published one
	Files    []string      `json:"files"`
}

// Save gets a version of a job, checks it against what was signed, or is proposed, and
// writes manifest and payloads to new files in a folder, which it makes. What is there is
// never overwritten.
func (j Jobs) Save(ctx context.Context, q JobRequest) (SavedJob, error) {
	find := j.published
	if q.Draft != "" {
		find = j.proposed
	}
	saved := SavedJob{Name: q.Name, Draft: q.Draft}
	m, by, err := find(ctx, q)
	if err != nil {
		return saved, err
	}
	saved.Version, saved.Manifest, saved.SignedBy = m.Version, m.Digest, by
	payloads := m.Payloads
	if q.Platform != "" {
		chosen, found := webjob.ChoosePayload(payloads, q.Platform)
		if !found {
			return saved, webjob.Errorf(webjob.NotFound, "%s version %d has no payload for %s", m.Name, m.Version, q.Platform)
		}
		payloads = []webjob.Payload{chosen}
	}
	if err := os.MkdirAll(q.To, 0o700); err != nil {
		return saved, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	save := func(name string, write func(io.Writer) error) error {
		file := filepath.Join(q.To, name)
		if err := saveNew(file, write); err != nil {
			return err
		}
		saved.Files = append(saved.Files, file)
		return nil
	}
	err = save("manifest.json", func(w io.Writer) error { _, err := w.Write(m.Text); return err })
	for _, p := range payloads {
		name := "payload-" + strings.ReplaceAll(string(p.Platform), "/", "-")
		switch {
		case err != nil:
			return saved, err
		case p.Bundle == nil:
			err = save(name, func(w io.Writer) error { return j.WritePayload(ctx, p, w) })
		case !q.Unpack:
			err = save(name+".tar.zst", func(w io.Writer) error { return j.WritePayload(ctx, p, w) })
		default:
			dir := filepath.Join(q.To, name)
			if err = j.unpack(ctx, p, dir); err == nil {
				saved.Files = append(saved.Files, dir)
			}
		}
	}
	return saved, err
}

// saveNew writes a file that is not there yet, whole or not at all.
func saveNew(file string, write func(io.Writer) error) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return webjob.Errorf(webjob.Conflict, "%s is there already; name a new folder with --to", file)
	}
	if err != nil {
		return webjob.Errorf(webjob.Invalid, "%w", err)
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	return nil
}

// unpack unpacks a bundle into a new folder.
func (j Jobs) unpack(ctx context.Context, p webjob.Payload, dir string) error {
	f, err := j.opener(ctx)(p)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only a copy
	err = os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return webjob.Errorf(webjob.Conflict, "%s is there already; name a new folder with --to", dir)
	}
	if err != nil {
		return webjob.Errorf(webjob.Invalid, "%w", err)
	}
	if err := bundle.Unpack(f, dir, p.Bundle.Bytes); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	return nil
}

// published finds a version that the signed job repository lists, and who signed it.
func (j Jobs) published(ctx context.Context, q JobRequest) (*trust.SignedManifest, []string, error) {
	r, err := j.repository.trusted(ctx)
	if err != nil {
		return nil, nil, err
	}
	signed, _, err := listed(r, q.Name, q.Version)
	if err != nil {
		return nil, nil, err
	}
	m, err := j.manifest(ctx, q.Name, signed, time.Time{}) // also when it has expired
	if err != nil {
		return nil, nil, err
	}
	by, err := j.repository.signersOf(r, q.Name)
	return m, by, err
}

// proposed finds a version that a draft lists.
func (j Jobs) proposed(ctx context.Context, q JobRequest) (*trust.SignedManifest, []string, error) {
	r, err := j.repository.GetAsSeen(ctx)
	if err != nil {
		return nil, nil, err
	}
	d, err := r.Draft(q.Draft)
	if err != nil {
		return nil, nil, err
	}
	if _, err := d.Changes(r.View, time.Now(), j.repository.Names(nil)); err != nil {
		return nil, nil, err
	}
	content := d.Contents[trust.JobPath(q.Name)]
	if len(content) == 0 {
		return nil, nil, webjob.Errorf(webjob.NotFound, "draft %s does not change job %s", d.ID, q.Name)
	}
	index, err := trust.ParseJobIndex(content)
	if err != nil {
		return nil, nil, err
	}
	version := q.Version
	if version == 0 && len(index.Versions) > 0 {
		version = index.Versions[len(index.Versions)-1].Version
	}
	v, err := index.Version(version)
	if err != nil {
		return nil, nil, webjob.Errorf(webjob.NotFound, "draft %s lists no such version of %s", d.ID, q.Name)
	}
	m, err := j.draftManifest(ctx, d, q.Name, v)
	return m, nil, err
}

// Draft returns the draft with the id among those that wait.
func (r *RepositoryState) Draft(id string) (*trust.Draft, error) {
	i := slices.IndexFunc(r.Drafts, func(d *trust.Draft) bool { return d.ID == id })
	if i < 0 {
		return nil, webjob.Errorf(webjob.NotFound, "there is no draft %.40q; webjobctl repo status shows what waits", id)
	}
	return r.Drafts[i], nil
}
