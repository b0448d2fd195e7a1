package operator

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/trust"
)

// Jobs publishes jobs, takes their versions back, and gets what they run, always against
// what people signed.
type Jobs struct {
	session    *Session
	repository Repository
}

// Verify finds a published version in the signed job repository and returns its
// manifest with the names of who signed. A version that was withdrawn is shown as its
// publisher signed it: by nobody any more.
func (j Jobs) Verify(ctx context.Context, v api.JobDetail) (m *trust.SignedManifest, by []string, err error) {
	r, err := j.repository.trusted(ctx)
	if err != nil {
		return nil, nil, err
	}
	index, err := r.Index(v.Name)
	if err != nil {
		return nil, nil, err
	}
	// Judged at the time of publication, so that an expired version can be shown.
	signed, err := index.Version(v.Version)
	if webjob.KindOf(err) == webjob.NotFound && !v.WithdrawnAt.IsZero() {
		m, err = trust.ParseManifest(v.Text, v.Manifest, v.PublishedAt)
		return m, []string{"nobody: it was withdrawn"}, err
	}
	if err != nil {
		return nil, nil, err
	}
	if m, err = trust.ParseManifest(v.Text, signed.Manifest, v.PublishedAt); err != nil {
		return nil, nil, err
	}
	by, err = j.repository.signersOf(r, v.Name)
	return m, by, err
}

// listed finds a version, the newest when it is 0, in the signed index of a job.
func listed(r *trust.View, job string, version int64) (trust.IndexVersion, *trust.JobIndex, error) {
	index, err := r.Index(job)
	if webjob.KindOf(err) == webjob.NotFound {
		return trust.IndexVersion{}, nil, webjob.Errorf(webjob.NotFound, "job %s is not published; webjobctl job list shows what is", job)
	}
	if err != nil {
		return trust.IndexVersion{}, nil, err
	}
	if version == 0 {
		if len(index.Versions) == 0 {
			return trust.IndexVersion{}, nil, webjob.Errorf(webjob.Conflict, "every version of job %s was withdrawn; list one again with webjobctl job restore %s@N, or publish another", job, job)
		}
		return index.Versions[len(index.Versions)-1], index, nil
	}
	signed, err := index.Version(version)
	if err != nil && version <= index.Latest {
		return signed, nil, webjob.Errorf(webjob.Conflict, "job %s version %d was withdrawn; name another version, as in %s@N, or list it again: webjobctl job restore %s@%d", job, version, job, job, version)
	}
	if err != nil {
		return signed, nil, webjob.Errorf(webjob.NotFound, "job %s has no version %d; the latest is %d", job, version, index.Latest)
	}
	return signed, index, nil
}

// manifest gets the manifest of a version that an index names.
func (j Jobs) manifest(ctx context.Context, job string, signed trust.IndexVersion, now time.Time) (*trust.SignedManifest, error) {
	var detail api.JobDetail
	if err := j.session.Call(ctx, http.MethodGet, api.OperatorJobPath(job, strconv.FormatInt(signed.Version, 10)), nil, nil, &detail); err != nil {
		return nil, err
	}
	return trust.ParseManifest(detail.Text, signed.Manifest, now)
}

// draftManifest returns the manifest of a version that an index in a draft lists: from
// the draft or, when it was published before, from the server.
func (j Jobs) draftManifest(ctx context.Context, d *trust.Draft, job string, v trust.IndexVersion) (*trust.SignedManifest, error) {
	var m *trust.SignedManifest
	var err error
	i := slices.IndexFunc(d.Manifests, func(text []byte) bool { return webjob.DigestOf(text) == v.Manifest })
	if i >= 0 {
		m, err = trust.ParseManifest(d.Manifests[i], v.Manifest, time.Now())
	} else {
		m, err = j.manifest(ctx, job, v, time.Now())
	}
	if err != nil {
		return nil, webjob.Errorf(webjob.KindOf(err), "the draft lists %s version %d, and what that is cannot be shown, so do not sign it: %w", job, v.Version, err)
	}
	if m.Name != job || m.Version != v.Version || m.Scope != v.Scope {
		return nil, webjob.Errorf(webjob.Refused, "the draft lists %s version %d for %s, and its manifest is of %s version %d for %s; do not sign it", job, v.Version, v.Scope, m.Name, m.Version, m.Scope)
	}
	return m, nil
}
