package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// draftFiles is the prefix of drafts among the repository's files.
const draftFiles = "draft/"

// maxDrafts bounds the drafts that wait for signatures.
const maxDrafts = 100

// freshenEvery is how often the timestamp is signed anew: well within its lifetime.
const freshenEvery = time.Hour

// repository is the job repository of this server: what is signed, and what waits for
// signatures. The server holds only the online key; it can sign neither a job nor a
// policy.
type repository struct {
	store  webjob.Store
	log    *slog.Logger
	online *trust.PrivateKey

	change  sync.Mutex // held while something changes
	mu      sync.RWMutex
	current *trust.Repository // nil before the first draft landed
	policy  *trust.Policy
	roots   [][]byte
	drafts  map[string]*trust.Draft
	fronts  map[string][]byte // encoded bundles by what is asked for; those of current
}

// maxFronts bounds the encoded bundles that are kept: a fleet asks for few different
// ones, and all at once.
const maxFronts = 1000

func loadRepository(ctx context.Context, dir string, store webjob.Store, log *slog.Logger) (*repository, error) {
	text, err := readFile(filepath.Join(dir, onlineKeyFile))
	if err != nil {
		return nil, err
	}
	r := &repository{store: store, log: log, drafts: map[string]*trust.Draft{}, fronts: map[string][]byte{}}
	if r.online, err = trust.ParsePrivateKey(text); err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%s: %w; restore it from a backup", filepath.Join(dir, onlineKeyFile), err)
	}
	files := map[string][]byte{}
	err = store.RepositoryFiles(ctx, func(name string, content []byte) error {
		files[name] = slices.Clone(content)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for name, content := range files {
		if !strings.HasPrefix(name, draftFiles) {
			continue
		}
		var d trust.Draft
		if err := json.Unmarshal(content, &d); err != nil {
			return nil, webjob.Errorf(webjob.Internal, "%s is damaged: %w", name, err)
		}
		r.drafts[d.ID] = &d
	}
	if r.current, r.roots, err = trust.RepositoryFromFiles(files, now()); err != nil || r.current == nil {
		return r, err
	}
	r.policy, err = r.current.Policy()
	return r, err
}

// view returns what is signed now. NotFound says that nothing is yet.
func (r *repository) view() (*trust.Repository, *trust.Policy, [][]byte, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.current == nil {
		return nil, nil, nil, webjob.Errorf(webjob.NotFound, "this server has no job repository yet; make one with webjobctl repo init")
	}
	return r.current, r.policy, r.roots, nil
}

// timestamp returns the version of the timestamp, 0 before there is one.
func (r *repository) timestamp() int64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.current == nil {
		return 0
	}
	return r.current.Timestamp()
}

// set takes a repository in that is stored.
func (r *repository) set(next *trust.Repository, policy *trust.Policy) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current == nil || next.RootVersion() != r.current.RootVersion() {
		r.roots = append(slices.Clone(r.roots), next.Root())
	}
	r.current, r.policy, r.fronts = next, policy, map[string][]byte{}
}

// front returns the encoded bundle of what a client lacks that says have and asks for a
// job; nil when it lacks nothing.
func (r *repository) front(have, client, job string) ([]byte, error) {
	labels := trust.ClientPath(client)
	r.mu.RLock()
	current, key := r.current, job+" "+have
	if current != nil && current.Has(labels) {
		key = client + " " + key
	}
	known, found := r.fronts[key]
	r.mu.RUnlock()
	if found {
		return known, nil
	}
	var held webjob.RepositoryHave
	if have != "" {
		if err := json.Unmarshal([]byte(have), &held); err != nil {
			return nil, webjob.Errorf(webjob.Invalid, "header %s is not the expected JSON: %w", wire.HeaderHave, err)
		}
	}
	bundle, err := r.bundle(held, trust.PolicyPath, labels, trust.JobPath(job))
	if err != nil {
		return nil, err
	}
	var front []byte
	if !isEmpty(bundle) {
		if front, err = json.Marshal(bundle); err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current == current && len(r.fronts) < maxFronts {
		r.fronts[key] = front
	}
	return front, nil
}

func isEmpty(b webjob.RepositoryBundle) bool {
	return b.Timestamp == nil && b.Snapshot == nil && len(b.Roots)+len(b.Roles)+len(b.Contents) == 0
}

// keepFresh signs the timestamp anew until ctx ends.
func (r *repository) keepFresh(ctx context.Context) {
	for {
		if err := r.freshen(ctx); err != nil && ctx.Err() == nil {
			r.log.Error("the job repository was not kept fresh; clients will refuse it soon", "error", err)
		}
		timer := time.NewTimer(freshenEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

func (r *repository) freshen(ctx context.Context) error {
	r.change.Lock()
	defer r.change.Unlock()
	current, policy, _, err := r.view()
	if webjob.KindOf(err) == webjob.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	next, err := current.Freshen(r.online, now())
	if err != nil {
		return err
	}
	if err := r.store.ChangeRepository(ctx, webjob.RepositoryChange{Files: next.Files(current)}, now()); err != nil {
		return err
	}
	r.set(next, policy)
	return nil
}

// landed is what came of a draft that was handed in.
type landed struct {
	draft    *trust.Draft
	needs    []trust.Need
	complete bool
	labels   map[string]webjob.Labels
	roots    bool // there is a new root
}

// propose takes a new draft in and, when nobody else has to sign, lands it.
func (r *repository) propose(ctx context.Context, d *trust.Draft, operator string) (landed, error) {
	r.change.Lock()
	defer r.change.Unlock()
	if len(r.drafts) >= maxDrafts {
		return landed{}, webjob.Errorf(webjob.Conflict, "%d drafts wait for signatures; sign or drop some first (webjobctl repo status)", len(r.drafts))
	}
	for name := range d.Roles {
		for _, other := range r.drafts {
			if _, taken := other.Roles[name]; taken {
				return landed{}, webjob.Errorf(webjob.Conflict, "draft %s (%s, by %s) waits for signatures and changes the same part, role %s; sign it with webjobctl repo sign, or drop it with webjobctl repo drop %s", other.ID, other.Summary, other.By, name, other.ID)
			}
		}
	}
	if len(d.Roles) == 0 {
		return landed{}, webjob.Errorf(webjob.Invalid, "the draft changes nothing")
	}
	if err := webjob.CheckLine("summary", d.Summary, 500); err != nil {
		return landed{}, err
	}
	d.ID, d.By, d.Created = draftID(), operator, now().Truncate(time.Second)
	return r.settle(ctx, d)
}

// draftID is short: people type it.
func draftID() string { return uuid.NewString()[:8] }

// sign adds the signatures of another copy of a draft.
func (r *repository) sign(ctx context.Context, id string, signed *trust.Draft) (landed, error) {
	r.change.Lock()
	defer r.change.Unlock()
	d, err := r.draft(id)
	if err != nil {
		return landed{}, err
	}
	copied := *d
	copied.Roles = map[string][]byte{}
	for name, content := range d.Roles {
		copied.Roles[name] = content
	}
	if err := copied.Merge(signed); err != nil {
		return landed{}, err
	}
	return r.settle(ctx, &copied)
}

func (r *repository) draft(id string) (*trust.Draft, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if d := r.drafts[id]; d != nil {
		return d, nil
	}
	return nil, webjob.Errorf(webjob.NotFound, "there is no draft %.40q; webjobctl repo status shows what waits", id)
}

// drop forgets a draft.
func (r *repository) drop(ctx context.Context, id string) error {
	r.change.Lock()
	defer r.change.Unlock()
	if _, err := r.draft(id); err != nil {
		return err
	}
	if err := r.store.ChangeRepository(ctx, webjob.RepositoryChange{Files: map[string][]byte{draftFiles + id: nil}}, now()); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.drafts, id)
	return nil
}

// settle lands a draft that is complete, and keeps another one.
func (r *repository) settle(ctx context.Context, d *trust.Draft) (landed, error) {
	r.mu.RLock()
	current := r.current
	r.mu.RUnlock()
	result := landed{draft: d}
	var err error
	if result.needs, err = d.Needs(current); err != nil {
		return result, err
	}
	if _, err := d.Changes(current, now(), func(id string) string { return id }); err != nil {
		return result, err
	}
	change, err := r.effects(d)
	if err != nil {
		return result, err
	}
	result.complete = !slices.ContainsFunc(result.needs, func(n trust.Need) bool { return n.Missing() > 0 })
	if !result.complete {
		encoded, err := json.Marshal(d)
		if err != nil {
			return result, err
		}
		if err := r.store.ChangeRepository(ctx, webjob.RepositoryChange{Files: map[string][]byte{draftFiles + d.ID: encoded}}, now()); err != nil {
			return result, err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.drafts[d.ID] = d
		return result, nil
	}
	next, err := d.Land(current, r.online, now())
	if err != nil {
		return result, err
	}
	policy, err := next.Policy()
	if err != nil {
		return result, err
	}
	change.Files = next.Files(current)
	change.Files[draftFiles+d.ID] = nil
	if err := r.store.ChangeRepository(ctx, change, now()); err != nil {
		return result, err
	}
	result.labels, result.roots = change.Labels, current != nil && next.RootVersion() != current.RootVersion()
	r.set(next, policy)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.drafts, d.ID)
	return result, nil
}

// waiting returns the drafts, oldest first.
func (r *repository) waiting() []*trust.Draft {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var list []*trust.Draft
	for _, d := range r.drafts {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b *trust.Draft) int { return a.Created.Compare(b.Created) })
	return list
}

// bundle returns what a client that holds have lacks for the paths.
func (r *repository) bundle(have webjob.RepositoryHave, paths ...string) (webjob.RepositoryBundle, error) {
	current, _, roots, err := r.view()
	if err != nil {
		return webjob.RepositoryBundle{}, err
	}
	return current.Bundle(have, roots, paths...), nil
}

// state returns all of it, for operators.
func (r *repository) state(have webjob.RepositoryHave) (api.RepositoryState, error) {
	state := api.RepositoryState{Online: r.online.DER()}
	for _, d := range r.waiting() {
		encoded, err := json.Marshal(d)
		if err != nil {
			return state, err
		}
		state.Drafts = append(state.Drafts, encoded)
	}
	current, _, roots, err := r.view()
	if webjob.KindOf(err) == webjob.NotFound {
		return state, nil
	}
	if err != nil {
		return state, err
	}
	state.First, state.Bundle = roots[0], current.Everything(have, roots)
	return state, nil
}

var errNoPath = errors.New("no such file")

// file returns a metadata file in the layout of The Update Framework.
func (r *repository) file(name string) ([]byte, error) {
	current, _, roots, err := r.view()
	if err != nil {
		return nil, err
	}
	content, found := current.File(name, roots)
	if !found {
		return nil, webjob.Errorf(webjob.NotFound, "%w: %.80q", errNoPath, name)
	}
	return content, nil
}
