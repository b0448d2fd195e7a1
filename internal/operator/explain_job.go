package operator

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/review"
	"webjob.dev/webjob/internal/trust"
)

// job says how the versions of a job change, and shows those that are listed anew.
func (e *explanation) job(ctx context.Context, job string, content []byte) error {
	after, err := trust.ParseJobIndex(content)
	if err != nil {
		return err
	}
	before := trust.NewJobIndex(job)
	if e.base != nil {
		if before, err = indexOf(e.base, job); err != nil {
			return err
		}
	}
	for _, v := range before.Versions {
		if !slices.Contains(after.Versions, v) {
			e.gone(v, before, after)
		}
	}
	for _, v := range after.Versions {
		if slices.Contains(before.Versions, v) {
			continue
		}
		what := "is new"
		if v.Version <= before.Latest {
			what = "is listed again after it was withdrawn"
		}
		e.say("%s version %d %s, for %s", job, v.Version, what, review.ForWhom(v.Scope))
		e.say("  manifest %s", v.Manifest)
		if err := e.version(ctx, job, v, earlier(before, v)); err != nil {
			return err
		}
	}
	return nil
}

// gone says what it means that a version is listed no more.
func (e *explanation) gone(v trust.IndexVersion, before, after *trust.JobIndex) {
	of := []webjob.Scope{v.Scope}
	was, wasErr := before.For(of)
	is, isErr := after.For(of)
	switch {
	case isErr != nil:
		e.say("%s version %d, for %s, is withdrawn; they have no version of their own any more", before.Job, v.Version, review.ForWhom(v.Scope))
	case wasErr == nil && was.Version == v.Version && is.Version < v.Version:
		e.say("%s version %d, for %s, is withdrawn; they get version %d again", before.Job, v.Version, review.ForWhom(v.Scope), is.Version)
	default:
		e.say("%s version %d, for %s, is listed no more; they get version %d", before.Job, v.Version, review.ForWhom(v.Scope), is.Version)
	}
}

// earlier returns the version that a version is compared with: the one before it for the
// same clients, else the one before it; nil when there is none.
func earlier(index *trust.JobIndex, v trust.IndexVersion) *trust.IndexVersion {
	var found *trust.IndexVersion
	for i, other := range index.Versions {
		if other.Version < v.Version && (found == nil || found.Scope != v.Scope || other.Scope == v.Scope) {
			found = &index.Versions[i]
		}
	}
	return found
}

// version shows one version of a job.
func (e *explanation) version(ctx context.Context, job string, v trust.IndexVersion, before *trust.IndexVersion) error {
	m, err := e.reviews.jobs.draftManifest(ctx, e.draft, job, v)
	if err != nil {
		return err
	}
	e.shown[m.Digest] = true
	if e.depth.Brief {
		e.brief = append(e.brief, fmt.Sprintf("what %s version %d runs: its description and its payloads", job, v.Version))
		return nil
	}
	return e.reviews.show(ctx, e.page, m, before, e.depth)
}

// show puts on a page what a version runs, compared with the one before, if any.
func (v Reviews) show(ctx context.Context, page *review.Page, m *trust.SignedManifest, before *trust.IndexVersion, depth Depth) error {
	page.Say("%s version %d, manifest %s", m.Name, m.Version, m.Digest)
	var old *webjob.Manifest
	if before != nil {
		was, err := v.jobs.manifest(ctx, m.Name, *before, time.Time{}) // also when it has expired
		if err != nil {
			page.Say("  ! version %d cannot be compared, so all is shown: %s", before.Version, err)
		} else {
			old = &was.Manifest
		}
	}
	if err := page.Version(&m.Manifest, old, v.jobs.opener(ctx)); err != nil {
		return webjob.Errorf(webjob.KindOf(err), "%w; what is not seen should not be signed (--brief signs it unseen)", err)
	}
	if depth.Details {
		page.Say("the exact manifest:")
		var exact bytes.Buffer
		if err := json.Indent(&exact, m.Text, "", "  "); err != nil {
			return err
		}
		for line := range strings.SplitSeq(exact.String(), "\n") {
			page.Say("  %s", line)
		}
	}
	return nil
}

// opener gets payloads from the server.
func (j Jobs) opener(ctx context.Context) review.Opener {
	return func(p webjob.Payload) (review.File, error) {
		f, err := os.CreateTemp("", "webjob-payload-")
		if err != nil {
			return nil, webjob.Errorf(webjob.Unavailable, "%w", err)
		}
		copied := &temporary{f}
		if err := j.WritePayload(ctx, p, f); err != nil {
			_ = copied.Close() // not whole
			return nil, err
		}
		if _, err := f.Seek(0, 0); err != nil {
			_ = copied.Close() // not whole
			return nil, webjob.Errorf(webjob.Unavailable, "%w", err)
		}
		return copied, nil
	}
}

// temporary is a file that goes when it is closed.
type temporary struct{ *os.File }

func (t *temporary) Close() error {
	err := t.File.Close()
	if removed := os.Remove(t.Name()); err == nil {
		err = removed
	}
	return err
}

// Order shows what an order asks for and what would run because of it.
func (v Reviews) Order(ctx context.Context, p *Pending, depth Depth) (*Review, error) {
	o, m := p.Signed, p.Manifest
	terms := review.NewPage(false)
	terms.Say("Order %s would run %s version %d: %s", o.ID, o.Job, o.Version, m.Description)
	terms.Order(&o.Order)
	examples := strings.Join(p.Selected.Examples, ", ")
	if p.Selected.Matching > int64(len(p.Selected.Examples)) {
		examples += ", ..."
	}
	terms.Say("  %-26s %d of %d clients, says the server: %s", "now that is", p.Selected.Matching, p.Selected.Enrolled, examples)
	terms.Say("  %-26s %s", "manifest", o.Manifest)
	signed := "nobody"
	if len(o.SignedBy) > 0 {
		signed = strings.Join(o.SignedBy, ", ")
	}
	terms.Say("  %-26s %s", "signed by", signed)
	r := &Review{ID: o.ID, Changes: terms.Lines}
	if depth.Brief {
		r.NotShown = []string{fmt.Sprintf("what %s version %d runs: its description and its payloads", o.Job, o.Version)}
		return r, nil
	}
	// An order may run what its signer has never seen: a payload that did not change is no
	// less worth a look.
	page := review.NewPage(depth.Whole)
	page.Known = false
	before := p.Before
	if before != nil && !depth.Whole {
		old, err := v.jobs.manifest(ctx, o.Job, *before, time.Time{})
		if err == nil && samePayloads(old.Payloads, m.Payloads) {
			before = nil
		}
	}
	if err := v.show(ctx, page, m, before, depth); err != nil {
		return nil, err
	}
	r.Shown, r.NotShown = page.Lines, page.NotShown()
	return r, nil
}

// samePayloads reports whether no payload of after is other than in before.
func samePayloads(before, after []webjob.Payload) bool {
	return !slices.ContainsFunc(after, func(p webjob.Payload) bool {
		return !slices.ContainsFunc(before, func(old webjob.Payload) bool { return old.Platform == p.Platform && old.Digest == p.Digest })
	})
}
