// Package publish is the job repository of the server: what is signed, drafts that wait
// for signatures, and what clients get of both. The server holds only the online key, which
// keeps the repository fresh; it can sign neither a job nor a policy. What is kept in memory
// is a cache of the store, read anew when a change meets a Conflict. It knows no HTTP.
package publish

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"

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

// Store is what the room needs of the store.
type Store interface {
	webjob.Repository
	webjob.Jobs
	HoldBlobs(ctx context.Context, h webjob.Hold) ([]int64, error)
	AddNotes(ctx context.Context, run string, notes []webjob.Note) error
	AddDeliveries(ctx context.Context, deliveries []webjob.Delivery) error
}

// Repository is the job repository.
type Repository struct {
	store  Store
	blobs  webjob.Blobs
	log    *slog.Logger
	online *trust.PrivateKey

	change sync.Mutex // held while something changes: changes of one server wait for each other
	// landing is held for writing from the moment in which the store has an accepted draft
	// until current has it, too: who reads both to answer one question holds it for reading.
	landing sync.RWMutex
	mu      sync.RWMutex
	current *trust.Repository // nil before the first draft was accepted
	policy  *trust.Policy
	roots   [][]byte
	drafts  map[string]*trust.Draft
	stored  map[string]webjob.Digest   // of the drafts, as they are in the store
	bundles *lru.Cache[string, []byte] // encoded, by what is asked for; those of current
}

// maxBundles bounds the encoded bundles that are kept: a fleet asks for few different
// ones, and all at once.
const maxBundles = 1000

// Open reads the job repository; online is the key that keeps it fresh.
func Open(ctx context.Context, store Store, blobs webjob.Blobs, online *trust.PrivateKey, log *slog.Logger) (*Repository, error) {
	bundles, err := lru.New[string, []byte](maxBundles)
	if err != nil {
		return nil, err
	}
	r := &Repository{store: store, blobs: blobs, log: log, online: online, bundles: bundles}
	return r, r.read(ctx)
}

// read takes over what is in the store.
func (r *Repository) read(ctx context.Context) error {
	files := map[string][]byte{}
	err := r.store.RepositoryFiles(ctx, func(name string, content []byte) error {
		files[name] = slices.Clone(content)
		return nil
	})
	if err != nil {
		return err
	}
	drafts, stored := map[string]*trust.Draft{}, map[string]webjob.Digest{}
	for name, content := range files {
		if !strings.HasPrefix(name, draftFiles) {
			continue
		}
		var d trust.Draft
		if err := json.Unmarshal(content, &d); err != nil {
			return webjob.Errorf(webjob.Internal, "%s is damaged: %w", name, err)
		}
		drafts[d.ID], stored[d.ID] = &d, webjob.DigestOf(content)
	}
	current, roots, err := trust.RepositoryFromFiles(files, now())
	if err != nil {
		return err
	}
	var policy *trust.Policy
	if current != nil {
		if policy, err = current.Policy(); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current, r.roots, r.policy, r.drafts, r.stored = current, roots, policy, drafts, stored
	r.bundles.Purge()
	return nil
}

// Online returns the public part of the online key.
func (r *Repository) Online() *trust.PublicKey { return r.online.PublicKey }

// View returns what is signed now. NotFound says that nothing is yet.
func (r *Repository) View() (*trust.Repository, *trust.Policy, [][]byte, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.current == nil {
		return nil, nil, nil, webjob.Errorf(webjob.NotFound, "this server has no job repository yet; make one with webjobctl repo init")
	}
	return r.current, r.policy, r.roots, nil
}

// Policy returns the signed policy. NotFound says that there is none yet.
func (r *Repository) Policy() (*trust.Policy, error) {
	_, policy, _, err := r.View()
	return policy, err
}

// Timestamp returns the version of the timestamp, 0 before there is one.
func (r *Repository) Timestamp() int64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.current == nil {
		return 0
	}
	return r.current.Timestamp()
}

// set takes a repository in that is stored.
func (r *Repository) set(next *trust.Repository, policy *trust.Policy) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current == nil || next.RootVersion() != r.current.RootVersion() {
		r.roots = append(slices.Clone(r.roots), next.Root())
	}
	r.current, r.policy = next, policy
	r.bundles.Purge()
}

// Encoded returns the encoded bundle of what a client lacks that says have and asks for a
// job; nil when it lacks nothing.
func (r *Repository) Encoded(have, client, job string) ([]byte, error) {
	labels := trust.ClientPath(client)
	r.mu.RLock()
	current, key := r.current, job+" "+have
	if current != nil && current.Has(labels) {
		key = client + " " + key
	}
	known, found := r.bundles.Get(key)
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
	bundle, err := r.Bundle(held, trust.PolicyPath, labels, trust.JobPath(job))
	if err != nil {
		return nil, err
	}
	var encoded []byte
	if !isEmpty(bundle) {
		if encoded, err = json.Marshal(bundle); err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current == current {
		r.bundles.Add(key, encoded)
	}
	return encoded, nil
}

// Choose calls version, which asks the store for what a client gets of a job, and returns
// the bundle of [Repository.Encoded]. Both are of the same moment: a client that got a
// version from before a change with the index from after it would take it for swapped.
func (r *Repository) Choose(have, client, job string, version func() error) ([]byte, error) {
	r.landing.RLock()
	defer r.landing.RUnlock()
	if err := version(); err != nil {
		return nil, err
	}
	return r.Encoded(have, client, job)
}

func isEmpty(b webjob.RepositoryBundle) bool {
	return b.Timestamp == nil && b.Snapshot == nil && len(b.Roots)+len(b.Roles)+len(b.Contents) == 0
}

// KeepFresh signs the timestamp anew until ctx ends.
func (r *Repository) KeepFresh(ctx context.Context) {
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

func (r *Repository) freshen(ctx context.Context) error {
	return r.changing(ctx, func() error {
		current, policy, _, err := r.View()
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
		change := webjob.RepositoryChange{Was: r.expected(""), Files: next.Files(current)}
		if err := r.store.ChangeRepository(ctx, change, now()); err != nil {
			return err
		}
		r.set(next, policy)
		return nil
	})
}

// maxAttempts bounds how often a change is tried again that another server came before.
const maxAttempts = 5

// changing makes a change; when what it rests on has changed in the store meanwhile, by
// another server, it reads all anew and tries again.
func (r *Repository) changing(ctx context.Context, change func() error) error {
	r.change.Lock()
	defer r.change.Unlock()
	for attempt := 1; ; attempt++ {
		err := change()
		if webjob.KindOf(err) != webjob.Conflict || attempt == maxAttempts {
			return err
		}
		before := r.Timestamp()
		if readErr := r.read(ctx); readErr != nil {
			return readErr
		}
		if attempt > 1 && r.Timestamp() == before {
			return err // it conflicts with what is here
		}
	}
}

// expected returns what a change rests on: the timestamp, and a draft when it names one.
func (r *Repository) expected(draft string) map[string]webjob.Digest {
	r.mu.RLock()
	defer r.mu.RUnlock()
	was := map[string]webjob.Digest{"timestamp": ""}
	if r.current != nil {
		if content, found := r.current.File("timestamp.json", r.roots); found {
			was["timestamp"] = webjob.DigestOf(content)
		}
	}
	if draft != "" {
		was[draftFiles+draft] = r.stored[draft]
	}
	return was
}

// Outcome is what came of a draft that was handed in.
type Outcome struct {
	Draft    *trust.Draft
	Needs    []trust.Need
	Accepted bool // it has all signatures, and is in effect
	Labels   map[string]webjob.Labels
}

// Propose takes a new draft in; when nobody else has to sign, it is in effect.
func (r *Repository) Propose(ctx context.Context, d *trust.Draft, operator string) (result Outcome, err error) {
	if len(d.Roles) == 0 {
		return Outcome{}, webjob.Errorf(webjob.Invalid, "the draft changes nothing")
	}
	if err := webjob.CheckLine("summary", d.Summary, 500); err != nil {
		return Outcome{}, err
	}
	d.ID, d.By, d.Created = draftID(), operator, now().Truncate(time.Second)
	held, err := r.holdPayloads(ctx, d)
	if err != nil {
		return Outcome{}, err
	}
	err = r.changing(ctx, func() error {
		if err := r.checkRoom(d); err != nil {
			return err
		}
		result, err = r.settle(ctx, d, held)
		return err
	})
	return result, err
}

// checkRoom refuses a draft that another one is in the way of.
func (r *Repository) checkRoom(d *trust.Draft) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.drafts) >= maxDrafts {
		return webjob.Errorf(webjob.Conflict, "%d drafts wait for signatures; sign or drop some first (webjobctl repo status)", len(r.drafts))
	}
	for name := range d.Roles {
		for _, other := range r.drafts {
			if _, taken := other.Roles[name]; taken {
				return webjob.Errorf(webjob.Conflict, "draft %s (%s, by %s) waits for signatures and changes the same part, role %s; sign it with webjobctl repo sign, or drop it with webjobctl repo drop %s", other.ID, other.Summary, other.By, name, other.ID)
			}
		}
	}
	return nil
}

// draftID is short: people type it.
func draftID() string { return uuid.NewString()[:8] }

// Sign adds the signatures of another copy of a draft.
func (r *Repository) Sign(ctx context.Context, id string, signed *trust.Draft) (result Outcome, err error) {
	err = r.changing(ctx, func() error {
		d, err := r.Draft(id)
		if err != nil {
			return err
		}
		held, err := r.holdPayloads(ctx, d)
		if err != nil {
			return err
		}
		copied := *d
		copied.Roles = maps.Clone(d.Roles)
		if err := copied.Merge(signed); err != nil {
			return err
		}
		result, err = r.settle(ctx, &copied, held)
		return err
	})
	return result, err
}

// Draft returns a draft that waits for signatures.
func (r *Repository) Draft(id string) (*trust.Draft, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if d := r.drafts[id]; d != nil {
		return d, nil
	}
	return nil, webjob.Errorf(webjob.NotFound, "there is no draft %.40q; webjobctl repo status shows what waits", id)
}

// Drop forgets a draft.
func (r *Repository) Drop(ctx context.Context, id string) error {
	return r.changing(ctx, func() error {
		d, err := r.Draft(id)
		if err != nil {
			return err
		}
		webjob.Describe(ctx, id, map[string]any{"summary": d.Summary, "by": d.By}, nil)
		return r.setDraft(ctx, id, nil, nil)
	})
}

// setDraft stores a draft, whose payloads are held as long as it is there, or removes it
// when it is nil.
func (r *Repository) setDraft(ctx context.Context, id string, d *trust.Draft, held []int64) error {
	var encoded []byte
	if d != nil {
		var err error
		if encoded, err = json.Marshal(d); err != nil {
			return err
		}
	}
	change := webjob.RepositoryChange{Was: r.expected(id), Files: map[string][]byte{draftFiles + id: encoded}, Held: held}
	if err := r.store.ChangeRepository(ctx, change, now()); err != nil {
		return err
	}
	r.keepDraft(id, d, encoded)
	return nil
}

// keepDraft takes a draft as it is stored into the cache, or drops it.
func (r *Repository) keepDraft(id string, d *trust.Draft, encoded []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d == nil {
		delete(r.drafts, id)
		delete(r.stored, id)
		return
	}
	r.drafts[id], r.stored[id] = d, webjob.DigestOf(encoded)
}

// settle puts a draft that has all signatures into effect, and keeps another one.
func (r *Repository) settle(ctx context.Context, d *trust.Draft, held []int64) (Outcome, error) {
	r.mu.RLock()
	current := r.current
	r.mu.RUnlock()
	result := Outcome{Draft: d}
	var err error
	if result.Needs, err = d.Needs(current); err != nil {
		return result, err
	}
	if _, err := d.Changes(current, now(), func(id string) string { return id }); err != nil {
		return result, err
	}
	change, err := r.effects(ctx, d)
	if err != nil {
		return result, err
	}
	complete := !slices.ContainsFunc(result.Needs, func(n trust.Need) bool { return n.Missing() > 0 })
	webjob.Describe(ctx, d.ID, nil, map[string]any{"summary": d.Summary, "by": d.By, "accepted": complete})
	if !complete {
		return result, r.setDraft(ctx, d.ID, d, held)
	}
	next, err := d.Land(current, r.online, now())
	if err != nil {
		return result, err
	}
	policy, err := next.Policy()
	if err != nil {
		return result, err
	}
	change.Was, change.Files, change.Held = r.expected(d.ID), next.Files(current), held
	change.Files[draftFiles+d.ID] = nil
	r.landing.Lock()
	defer r.landing.Unlock()
	if err := r.store.ChangeRepository(ctx, change, now()); err != nil {
		return result, err
	}
	result.Accepted, result.Labels = true, change.Labels
	r.set(next, policy)
	r.keepDraft(d.ID, nil, nil)
	r.log.Info("job repository changed", "draft", d.ID, "what", d.Summary, "by", d.By, "timestamp", next.Timestamp())
	return result, nil
}

// Drafts returns the drafts, oldest first.
func (r *Repository) Drafts() []*trust.Draft {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var list []*trust.Draft
	for _, d := range r.drafts {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b *trust.Draft) int { return a.Created.Compare(b.Created) })
	return list
}

// Bundle returns what a client that holds have lacks for the paths.
func (r *Repository) Bundle(have webjob.RepositoryHave, paths ...string) (webjob.RepositoryBundle, error) {
	current, _, roots, err := r.View()
	if err != nil {
		return webjob.RepositoryBundle{}, err
	}
	return current.Bundle(have, roots, paths...), nil
}

// State returns all of it, for operators.
func (r *Repository) State(have webjob.RepositoryHave) (api.RepositoryState, error) {
	state := api.RepositoryState{Online: r.online.DER()}
	for _, d := range r.Drafts() {
		encoded, err := json.Marshal(d)
		if err != nil {
			return state, err
		}
		state.Drafts = append(state.Drafts, encoded)
	}
	current, _, roots, err := r.View()
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

// File returns a metadata file in the layout of The Update Framework.
func (r *Repository) File(name string) ([]byte, error) {
	current, _, roots, err := r.View()
	if err != nil {
		return nil, err
	}
	content, found := current.File(name, roots)
	if !found {
		return nil, webjob.Errorf(webjob.NotFound, "%w: %.80q", errNoPath, name)
	}
	return content, nil
}

// now is the time that is stored: UTC, to the microsecond.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
