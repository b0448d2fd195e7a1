// Package trusttest makes job repositories for tests: real keys, real signatures.
package trusttest

import (
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
)

// Repository is a job repository with the keys of everybody who signs it.
type Repository struct {
	T      testing.TB
	Online *trust.PrivateKey
	Keys   map[string]*trust.PrivateKey // by name
	People []trust.NamedKey
	trust.Published
	Now time.Time
}

// Key makes a key.
func Key(t testing.TB) *trust.PrivateKey {
	t.Helper()
	key, err := trust.GenerateKey(trust.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// New makes a repository that so many of the named people must sign.
func New(t testing.TB, threshold int, names ...string) *Repository {
	t.Helper()
	return At(t, time.Now(), threshold, names...)
}

// At is New at a time.
func At(t testing.TB, now time.Time, threshold int, names ...string) *Repository {
	t.Helper()
	r := &Repository{T: t, Online: Key(t), Keys: map[string]*trust.PrivateKey{}, Now: now}
	for _, name := range names {
		r.Keys[name] = Key(t)
		r.People = append(r.People, trust.NewNamedKey(name, r.Keys[name].PublicKey))
	}
	d, err := trust.NewDraft(r.People, threshold, r.Online.PublicKey, now)
	r.must(err)
	r.Accept(d)
	return r
}

func (r *Repository) must(err error) {
	r.T.Helper()
	if err != nil {
		r.T.Fatal(err)
	}
}

// Accept signs a draft, by everybody when nobody is named, and accepts it.
func (r *Repository) Accept(d *trust.Draft, signers ...string) {
	r.T.Helper()
	_, err := d.Sign(r.View, r.keys(signers)...)
	r.must(err)
	r.Published, err = r.Published.Accept(d, r.Online, r.Now)
	r.must(err)
}

func (r *Repository) keys(names []string) []*trust.PrivateKey {
	var keys []*trust.PrivateKey
	if len(names) == 0 {
		for _, key := range r.Keys {
			keys = append(keys, key)
		}
	}
	for _, name := range names {
		keys = append(keys, r.Keys[name])
	}
	return keys
}

// Publish adds a version of a job and returns the manifest's text.
func (r *Repository) Publish(m *webjob.Manifest) []byte {
	r.T.Helper()
	text, draft := r.Publication(m)
	r.Accept(draft)
	return text
}

// Publication is the draft of Publish.
func (r *Repository) Publication(m *webjob.Manifest) ([]byte, *trust.Draft) {
	r.T.Helper()
	index, err := r.View.Index(m.Name)
	if webjob.KindOf(err) == webjob.NotFound {
		index, err = trust.NewJobIndex(m.Name), nil
	}
	r.must(err)
	text, err := trust.EncodeManifest(m)
	r.must(err)
	r.must(index.Add(m, webjob.DigestOf(text)))
	content, err := index.Encode()
	r.must(err)
	draft, err := trust.Propose(r.View, "publish", map[string][]byte{trust.JobPath(m.Name): content}, r.Now)
	r.must(err)
	draft.Manifests = [][]byte{text}
	return text, draft
}

// Change accepts new contents of targets.
func (r *Repository) Change(contents map[string][]byte) {
	r.T.Helper()
	draft, err := trust.Propose(r.View, "change", contents, r.Now)
	r.must(err)
	r.Accept(draft)
}

// Policy returns the policy in force.
func (r *Repository) Policy() *trust.Policy {
	r.T.Helper()
	policy, err := r.View.Policy()
	r.must(err)
	return policy
}

// Pinned returns what a client has that has just been enrolled: the first root.
func (r *Repository) Pinned() *trust.View {
	r.T.Helper()
	pinned, err := trust.NewView(r.Roots[0])
	r.must(err)
	return pinned
}

// Bundle returns what an honest server sends to a client that holds have.
func (r *Repository) Bundle(have *trust.View, paths ...string) webjob.RepositoryBundle {
	return r.Published.Bundle(have.Have(paths...), paths...)
}
