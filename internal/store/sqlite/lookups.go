package sqlite

import (
	"hash/maphash"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"webjob.dev/webjob"
)

// Bounds of what is remembered, in answers.
const (
	maxClients  = 50_000
	maxJobs     = 20_000
	maxVersions = 2_000 // each holds its manifest
)

// lookups remembers the answers to the questions that every request asks: who is this
// client, which version of the job does it get. An answer is forgotten when what it is about
// changes, and nobody else's. Every change of the file goes through this store's writer, so
// none is missed; a store that several processes share must not do this.
type lookups struct {
	clients *answers[string, webjob.Client]
	jobs    *answers[string, listedVersions]
	// versions are published and never changed; whether one is withdrawn, its job says.
	versions *answers[version, webjob.JobVersion]
}

type version struct {
	job    string
	number int64
}

// listedVersions is what of a job is not withdrawn.
type listedVersions struct {
	newest map[webjob.Scope]int64
	scopes map[int64]webjob.Scope
}

// subjects are what a change is about.
type subjects struct {
	clients []string
	jobs    []string
}

func newLookups() *lookups {
	return &lookups{
		clients:  newAnswers[string, webjob.Client](maxClients),
		jobs:     newAnswers[string, listedVersions](maxJobs),
		versions: newAnswers[version, webjob.JobVersion](maxVersions),
	}
}

// forget drops what is known about the subjects. The writer calls it after the commit and
// before the caller learns of it, so nobody who was told of a change can get an older answer.
func (l *lookups) forget(about *subjects) {
	for _, id := range about.clients {
		l.clients.forget(id)
	}
	for _, name := range about.jobs {
		l.jobs.forget(name)
	}
}

// shards spread the counts of changes, so that a change of one subject seldom keeps the
// answer about another one from being remembered.
const shards = 256

// answers remembers answers of one kind, the most recently asked ones.
type answers[K comparable, A any] struct {
	known   *lru.Cache[K, *A]
	seed    maphash.Seed
	changes [shards]struct {
		sync.Mutex
		n uint64
	}
}

func newAnswers[K comparable, A any](most int) *answers[K, A] {
	known, err := lru.New[K, *A](most)
	if err != nil {
		panic(err) // only a bound below 1 is one
	}
	return &answers[K, A]{known: known, seed: maphash.MakeSeed()}
}

// lookUp returns the remembered answer, or loads it. Answers are shared and must not be
// changed. Errors are not remembered.
func (a *answers[K, A]) lookUp(key K, load func() (A, error)) (A, error) {
	if answer, found := a.known.Get(key); found {
		return *answer, nil
	}
	shard := &a.changes[maphash.Comparable(a.seed, key)%shards]
	shard.Lock()
	before := shard.n
	shard.Unlock()
	loaded, err := load()
	if err != nil {
		return loaded, err
	}
	shard.Lock()
	defer shard.Unlock()
	if shard.n == before { // else the answer may be older than a change
		a.known.Add(key, &loaded)
	}
	return loaded, nil
}

func (a *answers[K, A]) forget(key K) {
	shard := &a.changes[maphash.Comparable(a.seed, key)%shards]
	shard.Lock()
	defer shard.Unlock()
	shard.n++
	a.known.Remove(key)
}
