package results_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/blob/files"
	"webjob.dev/webjob/internal/results"
	"webjob.dev/webjob/internal/rules"
	"webjob.dev/webjob/internal/store/sqlite/sqlitetest"
	"webjob.dev/webjob/wire"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, kind webjob.Kind) {
	t.Helper()
	if webjob.KindOf(err) != kind {
		t.Fatalf("error is %v (kind %q), want kind %q", err, webjob.KindOf(err), kind)
	}
}

// said is what the configuration of a test says.
type said struct {
	mu        sync.Mutex
	keep      time.Duration
	keepFor   map[string]time.Duration // by client
	rules     string
	maxStored int64
	refuse    error
	tell      bool // one trigger
}

func (s *said) None() bool { return s.refuse == nil && !s.tell }
func (s *said) Ask(context.Context, webjob.Event, webjob.Client) (rules.Said, error) {
	return rules.Said{}, s.refuse
}

func (s *said) Deliveries(e webjob.Event, _ webjob.Subject) []webjob.Delivery {
	if !s.tell {
		return nil
	}
	return []webjob.Delivery{{Trigger: "t", Event: e, NextAt: e.Time}}
}
func (s *said) Follows(string, webjob.Subject) bool { return false }
func (s *said) Retention(c webjob.Client, _ string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if keep, found := s.keepFor[c.ID]; found {
		return keep
	}
	return s.keep
}
func (s *said) RetentionRules() string                      { return s.rules }
func (s *said) MaxStored(webjob.Client) int64               { return s.maxStored }
func (s *said) Keeps(string, webjob.Client, time.Time) bool { return false }
func (s *said) Ended(context.Context, webjob.OrderRun)      {}

// room is a keeper with real backends, and a clock that only the test moves.
type room struct {
	*results.Keeper

	t     *testing.T
	said  *said
	store webjob.Store
	blobs webjob.Blobs
	at    time.Time
}

func newRoom(t *testing.T) *room {
	t.Helper()
	dir := t.TempDir()
	store, err := sqlitetest.Open(t.Context(), filepath.Join(dir, "metadata.db"))
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	blobs, err := files.Open(dir)
	must(t, err)
	r := &room{t: t, said: &said{maxStored: 1 << 30}, store: store, blobs: blobs, at: time.Now()}
	r.Keeper = r.with(store, blobs)
	return r
}

// with is another keeper of the same results, with other ways to the backends.
func (r *room) with(store results.Store, blobs webjob.Blobs) *results.Keeper {
	k := results.New(results.Neighbours{
		Store: store, Blobs: blobs, Rules: r.said, Orders: r.said, Wake: func() {}, Received: func(webjob.Outcome, int64, bool) {},
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}, 32<<20)
	results.SetClock(k, func() time.Time { return r.at })
	return k
}

var web1 = webjob.Client{ID: "web1", Platform: "linux/amd64"}

// resultOf returns the record and the body of a result with these parts, large ones left out.
func resultOf(t *testing.T, run string, parts ...string) (record, body []byte) {
	t.Helper()
	r := webjob.Record{
		Format: webjob.RecordFormat, Run: run, Client: web1.ID, Job: "job", Outcome: webjob.Succeeded, Platform: "linux/amd64",
		Times: webjob.Times{Run: webjob.Phase{Start: time.Unix(1_750_000_000, 0).UTC()}},
	}
	for i, content := range parts {
		part := webjob.Stream{Name: []string{webjob.Stdout, webjob.Stderr, webjob.Contents}[i], Digest: webjob.DigestOf([]byte(content)), Size: int64(len(content))}
		if r.Parts = append(r.Parts, part); !wire.Resumable(part) {
			body = append(body, content...)
		}
	}
	record, err := json.Marshal(r)
	must(t, err)
	return record, body
}

// send sends a result as a client does.
func (r *room) send(k *results.Keeper, run string, parts ...string) (wire.ResultResponse, error) {
	record, body := resultOf(r.t, run, parts...)
	whole := append(record, body...)
	return k.Receive(r.t.Context(), web1, int64(len(record)), int64(len(whole)), bytes.NewReader(whole))
}

func (r *room) upload(content string) error {
	u := webjob.Upload{Digest: webjob.DigestOf([]byte(content)), Size: int64(len(content))}
	_, err := r.Upload(r.t.Context(), web1, u, bytes.NewReader([]byte(content)))
	return err
}

func (r *room) has(content string) bool {
	r.t.Helper()
	has, err := r.blobs.Has(r.t.Context(), webjob.DigestOf([]byte(content)))
	must(r.t, err)
	return has
}

func (r *room) storage() webjob.Storage {
	r.t.Helper()
	s, err := r.store.Storage(r.t.Context(), web1.ID)
	must(r.t, err)
	return s
}

// pass lets time pass, and does what is due then.
func (r *room) pass(d time.Duration) {
	r.t.Helper()
	r.at = r.at.Add(d)
	must(r.t, r.Tidy(r.t.Context(), r.at))
}
