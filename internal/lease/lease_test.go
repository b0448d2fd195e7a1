package lease_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"webjob.dev/webjob/internal/lease"
)

// leases is one lease, kept as a store keeps it, on the time of the test.
type leases struct {
	mu     sync.Mutex
	holder string
	ends   time.Time
	broken bool
}

func (l *leases) Lease(_ context.Context, _, holder string, ttl time.Duration) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken {
		return false, errors.New("no store")
	}
	if l.holder != holder && time.Now().Before(l.ends) {
		return false, nil
	}
	l.holder, l.ends = holder, time.Now().Add(ttl)
	return true, nil
}

func (l *leases) EndLease(_ context.Context, _, holder string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder == holder {
		l.ends = time.Time{}
	}
	return nil
}

func (l *leases) set(broken bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = broken
}

// One of two servers works at a time; when it stops, or its store is gone, the other one
// takes over, and never before the first has stopped working.
func TestOneWorksAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &leases{}
		var mu sync.Mutex
		working := map[string]bool{}
		server := func(name string, store *leases) (stop func()) {
			ctx, cancel := context.WithCancel(t.Context())
			var done sync.WaitGroup
			done.Go(func() {
				lease.Holder{Store: store, Name: name, Log: slog.New(slog.DiscardHandler)}.Run(ctx, "clock", func(ctx context.Context) {
					mu.Lock()
					if working[name] = true; len(working) > 1 {
						t.Errorf("%v work at the same time", working)
					}
					mu.Unlock()
					<-ctx.Done()
					mu.Lock()
					defer mu.Unlock()
					delete(working, name)
				})
			})
			return func() { cancel(); done.Wait() }
		}
		is := func(want string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if len(working) != 1 || !working[want] {
				t.Fatalf("%v work, want %s", working, want)
			}
		}
		stopA := server("a", shared)
		is("a")
		stopB := server("b", shared)
		time.Sleep(10 * lease.TTL)
		is("a") // it renews
		stopA()
		time.Sleep(lease.TTL)
		is("b")
		shared.set(true) // nobody can ask
		time.Sleep(lease.TTL)
		synctest.Wait()
		mu.Lock()
		if len(working) != 0 {
			t.Errorf("%v work without a lease", working)
		}
		mu.Unlock()
		shared.set(false)
		stopC := server("c", shared)
		time.Sleep(2 * lease.TTL)
		stopB()
		time.Sleep(2 * lease.TTL)
		is("c")
		stopC()
	})
}
