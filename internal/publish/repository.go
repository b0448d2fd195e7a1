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
	"slices"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"webjob.dev/webjob"
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
	webjob.RepositoryFiles
	webjob.Jobs
	HoldBlobs(ctx context.Context, h webjob.Hold) ([]int64, error)
	AddNotes(ctx context.Context, client, run string, notes []webjob.Note) error
	AddDeliveries(ctx context.Context, deliveries []webjob.Delivery) error
}

// Repository is the job repository: what is signed, payloads on their way, and drafts.
type Repository struct{ drafts }

// signed is the cache of what is signed, and how it changes.
type signed struct {
	store  Store
	blobs  webjob.Blobs
	log    *slog.Logger
	online *trust.PrivateKey

	change sync.Mutex // held while something changes: changes of one server wait for each other
	// accepting is held for writing from the moment in which the store has an accepted draft
	// until current has it, too: who reads both to answer one question holds it for reading.
	accepting sync.RWMutex
	mu        sync.RWMutex
	current   trust.Published
	policy    *trust.Policy              // nil before the first draft was accepted
	waiting   map[string]*trust.Draft    // drafts that wait for signatures, by id
	stored    map[string]webjob.Digest   // of these, as they are in the store
	bundles   *lru.Cache[string, []byte] // encoded, by what is asked for; those of current
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
	r := &signed{store: store, blobs: blobs, log: log, online: online, bundles: bundles}
	return &Repository{drafts{payloadStore{r}}}, r.read(ctx)
}

// read takes over what is in the store.
func (r *signed) read(ctx context.Context) error {
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
	current, err := trust.PublishedFromFiles(files, now())
	if err != nil {
		return err
	}
	var policy *trust.Policy
	if current.View != nil {
		if policy, err = current.View.Policy(); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current, r.policy, r.waiting, r.stored = current, policy, drafts, stored
	r.bundles.Purge()
	return nil
}

// Online returns the public part of the online key.
func (r *signed) Online() *trust.PublicKey { return r.online.PublicKey }

// Published returns what is signed now, and its policy. NotFound says that nothing is yet.
func (r *signed) Published() (trust.Published, *trust.Policy, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.current.View == nil {
		return trust.Published{}, nil, webjob.Errorf(webjob.NotFound, "this server has no job repository yet; make one with webjobctl repo init")
	}
	return r.current, r.policy, nil
}

// Policy returns the signed policy. NotFound says that there is none yet.
func (r *signed) Policy() (*trust.Policy, error) {
	_, policy, err := r.Published()
	return policy, err
}

// Timestamp returns the version of the timestamp, 0 before there is one.
func (r *signed) Timestamp() int64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.current.View == nil {
		return 0
	}
	return r.current.View.Timestamp()
}

// set takes a repository in that is stored.
func (r *signed) set(next trust.Published, policy *trust.Policy) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current, r.policy = next, policy
	r.bundles.Purge()
}

// Encoded returns the encoded bundle of what a client lacks that says have and asks for a
// job; nil when it lacks nothing.
func (r *signed) Encoded(have, client, job string) ([]byte, error) {
	labels := trust.ClientPath(client)
	r.mu.RLock()
	current, key := r.current, job+" "+have
	if current.Has(labels) {
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
	if r.current.View == current.View {
		r.bundles.Add(key, encoded)
	}
	return encoded, nil
}

// Choose calls version, which asks the store for what a client gets of a job, and returns
// the bundle of [Repository.Encoded]. Both are of the same moment: a client that got a
// version from before a change with the index from after it would take it for swapped.
func (r *signed) Choose(have, client, job string, version func() error) ([]byte, error) {
	r.accepting.RLock()
	defer r.accepting.RUnlock()
	if err := version(); err != nil {
		return nil, err
	}
	return r.Encoded(have, client, job)
}

func isEmpty(b webjob.RepositoryBundle) bool {
	return b.Timestamp == nil && b.Snapshot == nil && len(b.Roots)+len(b.Roles)+len(b.Contents) == 0
}

// KeepFresh signs the timestamp anew until ctx ends.
func (r *signed) KeepFresh(ctx context.Context) {
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

func (r *signed) freshen(ctx context.Context) error {
	return r.changing(ctx, func() error {
		current, policy, err := r.Published()
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
func (r *signed) changing(ctx context.Context, change func() error) error {
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
func (r *signed) expected(draft string) map[string]webjob.Digest {
	r.mu.RLock()
	defer r.mu.RUnlock()
	was := map[string]webjob.Digest{"timestamp": ""}
	if r.current.View != nil {
		if content, found := r.current.File("timestamp.json"); found {
			was["timestamp"] = webjob.DigestOf(content)
		}
	}
	if draft != "" {
		was[draftFiles+draft] = r.stored[draft]
	}
	return was
}

// Bundle returns what a client that holds have lacks for the paths.
func (r *signed) Bundle(have webjob.RepositoryHave, paths ...string) (webjob.RepositoryBundle, error) {
	current, _, err := r.Published()
	if err != nil {
		return webjob.RepositoryBundle{}, err
	}
	return current.Bundle(have, paths...), nil
}

var errNoPath = errors.New("no such file")

// File returns a metadata file in the layout of The Update Framework.
func (r *signed) File(name string) ([]byte, error) {
	current, _, err := r.Published()
	if err != nil {
		return nil, err
	}
	content, found := current.File(name)
	if !found {
		return nil, webjob.Errorf(webjob.NotFound, "%w: %.80q", errNoPath, name)
	}
	return content, nil
}

// now is the time that is stored: UTC, to the microsecond.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
