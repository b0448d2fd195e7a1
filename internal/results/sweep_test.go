package results_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/results"
)

// A result is received while blobs are swept, each stopped at every one of its steps for the
// other to go by, with blobs that were there before and with holds that are over: what was
// acknowledged is there, and what was refused is accepted when it is sent again.
func TestNoAcknowledgedPartIsSwept(t *testing.T) {
	r := newRoom(t)
	acknowledged, refused, swept := 0, 0, 0
	for _, stopped := range []string{"receive", "sweep"} {
		for _, there := range []bool{false, true} {
			for _, late := range []time.Duration{0, 2 * time.Hour} {
				for step := 1; ; step++ {
					run := fmt.Sprintf("%s-%v-%v-%d", stopped, there, late, step)
					part := strings.Repeat(run, 2000)
					if there { // since long ago
						must(t, r.blobs.Put(t.Context(), webjob.DigestOf([]byte(part)), int64(len(part)), strings.NewReader(part)))
					}
					r.at = time.Now().Add(90 * time.Minute)
					sweeping, receiving := error(nil), error(nil)
					sweep := func(k *results.Keeper) { sweeping = k.Sweep(t.Context(), r.at) }
					receive := func(k *results.Keeper) { _, receiving = r.send(k, run, part) }
					s := &stepper{at: step}
					mine := r.with(&steppedStore{Store: r.store, s: s}, &steppedBlobs{Blobs: r.blobs, s: s})
					if stopped == "receive" {
						s.then = func() { r.at = r.at.Add(late); sweep(r.Keeper) }
						receive(mine)
					} else {
						s.then = func() { receive(r.Keeper); r.at = r.at.Add(late) }
						sweep(mine)
					}
					if s.then != nil {
						break // it has fewer steps
					}
					must(t, sweeping)
					if receiving != nil {
						wantKind(t, receiving, webjob.Unavailable)
						refused++
						if !r.has(part) {
							swept++
						}
						if _, err := r.send(r.Keeper, run, part); err != nil {
							t.Fatalf("%s: sent again: %v", run, err)
						}
					} else {
						acknowledged++
					}
					if content, err := r.OpenPart(t.Context(), run, webjob.Stdout); err != nil {
						t.Errorf("%s: it was acknowledged, and %v", run, err)
					} else {
						got, err := io.ReadAll(content)
						must(t, errors.Join(err, content.Close()))
						if string(got) != part {
							t.Errorf("%s: other content", run)
						}
					}
				}
			}
		}
	}
	if acknowledged == 0 || refused == 0 || swept == 0 {
		t.Errorf("%d acknowledged, %d refused, %d swept: nothing was tested", acknowledged, refused, swept)
	}
}

// stepper counts the steps of one and lets the other go by before one of them.
type stepper struct {
	at, n int
	then  func()
}

func (s *stepper) step() {
	if s.n++; s.n == s.at && s.then != nil {
		then := s.then
		s.then = nil
		then()
	}
}

// steppedStore and steppedBlobs step before whatever the two meet in.
type steppedStore struct {
	webjob.Store
	s *stepper
}

func (s *steppedStore) HoldBlobs(ctx context.Context, h webjob.Hold) ([]int64, error) {
	s.s.step()
	return s.Store.HoldBlobs(ctx, h)
}

func (s *steppedStore) AddResult(ctx context.Context, r webjob.Result, b []webjob.Stream, e webjob.ResultEffects) (bool, error) {
	s.s.step()
	return s.Store.AddResult(ctx, r, b, e)
}

func (s *steppedStore) UnnamedBlobs(ctx context.Context, d []webjob.Digest, at time.Time) ([]webjob.Digest, error) {
	s.s.step()
	return s.Store.UnnamedBlobs(ctx, d, at)
}

func (s *steppedStore) CondemnBlobs(ctx context.Context, d []webjob.Digest, at time.Time) ([]webjob.Digest, error) {
	s.s.step()
	return s.Store.CondemnBlobs(ctx, d, at)
}

func (s *steppedStore) BlobsRemoved(ctx context.Context, d []webjob.Digest) error {
	s.s.step()
	return s.Store.BlobsRemoved(ctx, d)
}

type steppedBlobs struct {
	webjob.Blobs
	s *stepper
}

func (b *steppedBlobs) Put(ctx context.Context, d webjob.Digest, size int64, r io.Reader) error {
	b.s.step()
	return b.Blobs.Put(ctx, d, size, r)
}

func (b *steppedBlobs) Remove(ctx context.Context, d webjob.Digest, before time.Time) error {
	b.s.step()
	return b.Blobs.Remove(ctx, d, before)
}

// A sweep that was killed between condemning and removing keeps a blob from being sent for a
// moment only, and what it left is removed.
func TestKilledSweepIsFinished(t *testing.T) {
	r := newRoom(t)
	part := strings.Repeat("x", 50_000)
	d := webjob.DigestOf([]byte(part))
	must(t, r.blobs.Put(t.Context(), d, int64(len(part)), strings.NewReader(part)))
	r.at = r.at.Add(2 * time.Hour)
	killed := errors.New("killed")
	blobs := &failingBlobs{Blobs: r.blobs, err: killed}
	k := r.with(r.store, blobs)
	if err := k.Tidy(t.Context(), r.at); !errors.Is(err, killed) {
		t.Fatal(err)
	}
	_, err := r.send(r.Keeper, "run", part)
	wantKind(t, err, webjob.Unavailable)
	blobs.err = nil
	must(t, k.Tidy(t.Context(), r.at.Add(5*time.Minute))) // before the next sweep
	if r.has(part) {
		t.Error("it is there still")
	}
	_, err = r.send(r.Keeper, "run", part)
	must(t, err)
}

// failingBlobs cannot remove while err is set.
type failingBlobs struct {
	webjob.Blobs
	err error
}

func (b *failingBlobs) Remove(ctx context.Context, d webjob.Digest, before time.Time) error {
	if b.err != nil {
		return b.err
	}
	return b.Blobs.Remove(ctx, d, before)
}
