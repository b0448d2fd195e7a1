package publish

import (
	"context"
	"slices"
	"strings"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
)

// effects checks the contents of a draft and returns what it means for the
// rest of the metadata.
func (r *signed) effects(ctx context.Context, d *trust.Draft) (webjob.RepositoryChange, error) {
	change := webjob.RepositoryChange{Listed: map[string][]int64{}, Labels: map[string]webjob.Labels{}}
	manifests := map[webjob.Digest][]byte{}
	for _, text := range d.Manifests {
		manifests[webjob.DigestOf(text)] = text
	}
	for path, content := range d.Contents {
		kind, name, _ := strings.Cut(path, "/")
		switch {
		case path == trust.PolicyPath:
			if _, err := trust.ParsePolicy(content); err != nil {
				return change, err
			}
		case kind == "jobs" && len(content) > 0:
			versions, err := indexEffects(name, content, manifests, d.By)
			if err != nil {
				return change, err
			}
			if err := r.checkKnown(ctx, name, &versions); err != nil {
				return change, err
			}
			change.Publish = append(change.Publish, versions.publish...)
			change.Listed[name] = versions.listed
		case kind == "clients" && len(content) > 0:
			if err := webjob.CheckClientID(name); err != nil {
				return change, err
			}
			labels, err := trust.ParseLabels(content)
			if err != nil {
				return change, err
			}
			change.Labels[name] = labels
		default:
			return change, webjob.Errorf(webjob.Invalid, "%.80q is nothing that a job repository holds, or it is empty", path)
		}
	}
	return change, nil
}

type indexChange struct {
	publish []webjob.JobVersion
	listed  []int64
	signed  []trust.IndexVersion
}

// checkKnown makes sure that every version that an index lists is new, with its
// manifest in the draft, or is known with the same manifest, as one is that was
// withdrawn and is listed again.
func (r *signed) checkKnown(ctx context.Context, job string, index *indexChange) error {
	for _, v := range index.signed {
		known, err := r.store.JobVersion(ctx, job, v.Version)
		isNew := slices.ContainsFunc(index.publish, func(p webjob.JobVersion) bool { return p.Version == v.Version })
		switch {
		case webjob.KindOf(err) == webjob.NotFound && isNew:
		case webjob.KindOf(err) == webjob.NotFound:
			return webjob.Errorf(webjob.Invalid, "the index of job %s lists version %d, whose manifest is not in the draft", job, v.Version)
		case err != nil:
			return err
		case known.Manifest != v.Manifest:
			return webjob.Errorf(webjob.Conflict, "job %s has version %d already, and a version never changes; publish a new one", job, v.Version)
		default:
			index.publish = slices.DeleteFunc(index.publish, func(p webjob.JobVersion) bool { return p.Version == v.Version })
		}
	}
	return nil
}

// indexEffects returns the versions that an index lists, and those of them that are new.
func indexEffects(job string, content []byte, manifests map[webjob.Digest][]byte, operator string) (indexChange, error) {
	change := indexChange{listed: []int64{}}
	index, err := trust.ParseJobIndex(content)
	if err != nil {
		return change, err
	}
	if index.Job != job {
		return change, webjob.Errorf(webjob.Invalid, "the index of job %s is that of job %s", job, index.Job)
	}
	at := now()
	for _, v := range index.Versions {
		change.listed = append(change.listed, v.Version)
		change.signed = append(change.signed, v)
		text, found := manifests[v.Manifest]
		if !found {
			continue
		}
		m, err := trust.ParseManifest(text, v.Manifest, at)
		if err != nil {
			return change, err
		}
		if m.Name != job || m.Version != v.Version || m.Scope != v.Scope {
			return change, webjob.Errorf(webjob.Invalid, "the index of job %s does not say of version %d what its manifest says", job, v.Version)
		}
		change.publish = append(change.publish, webjob.JobVersion{
			Name: m.Name, Version: m.Version, Scope: m.Scope, Description: m.Description, Manifest: m.Digest,
			PublishedAt: at, PublishedBy: operator, Expires: m.Expires, Payloads: m.Payloads, Text: text,
		})
	}
	return change, nil
}
