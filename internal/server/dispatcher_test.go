package server

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/store/sqlite"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/internal/trust/trusttest"
)

// Who delivers the news of an order's end is woken when it is stored, not before:
// looking too early it would find nothing, and wait.
func TestEndOfOrderIsStoredBeforeItIsTold(t *testing.T) {
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "meta.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	status := webjob.OrderStatus{Order: webjob.Order{ID: "o1", Job: "job"}, State: webjob.OrderOpen, Envelope: []byte("e"), Counts: webjob.Counts{}}
	if _, err := store.AddOrder(t.Context(), status, nil); err != nil {
		t.Fatal(err)
	}
	d := newDispatcher(store, slog.New(slog.DiscardHandler))
	d.ended = func(webjob.OrderStatus) []webjob.Delivery {
		return []webjob.Delivery{{Trigger: "t", NextAt: time.Now()}}
	}
	found := -1
	d.told = func() {
		due, _, err := store.DueDeliveries(t.Context(), time.Now().Add(time.Minute), 9)
		if err != nil {
			t.Error(err)
		}
		found = len(due)
	}
	d.add(status, nil, nil)
	if err := d.judge(t.Context(), d.orders["o1"]); err != nil {
		t.Fatal(err)
	}
	if found != 1 {
		t.Errorf("when it was told, %d deliveries were stored, want 1", found)
	}
}

// A time that passed while the server was away is made up for once, or not at all, as
// the order says.
func TestMissedTimes(t *testing.T) {
	for missed, want := range map[webjob.Missed]int64{webjob.MissedRun: 1, webjob.MissedSkip: 0} {
		t.Run(string(missed), func(t *testing.T) {
			store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "meta.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = store.Close() }()
			latest := now().Truncate(time.Second).Add(-30 * time.Minute)
			begin := latest.Add(-5 * time.Hour)
			order := webjob.Order{
				Format: webjob.OrderFormat, ID: "o1", Job: "job", Version: 1, Manifest: webjob.EmptyDigest, On: "all",
				Created: begin, NotBefore: begin, Expires: begin.Add(24 * time.Hour), Schedule: &webjob.Schedule{At: "@every 1h", Missed: missed},
			}
			signers := trusttest.New(t, 1, "alice")
			envelope, err := trust.SignOrder(&order, signers.Keys["alice"])
			if err != nil {
				t.Fatal(err)
			}
			signed, err := signers.Policy().OpenOrder(envelope)
			if err != nil {
				t.Fatal(err)
			}
			version := webjob.JobVersion{Name: "job", Version: 1, Scope: webjob.ScopeCommon, Manifest: webjob.EmptyDigest, Text: []byte("e"), PublishedAt: begin, Expires: begin.Add(24 * time.Hour)}
			if err := store.ChangeRepository(t.Context(), webjob.RepositoryChange{Publish: []webjob.JobVersion{version}}, begin); err != nil {
				t.Fatal(err)
			}
			// It was to run four hours ago, and three times since.
			status := webjob.OrderStatus{Order: order, State: webjob.OrderOpen, Envelope: envelope, Counts: webjob.Counts{}, NextAt: begin.Add(time.Hour)}
			if _, err := store.AddOrder(t.Context(), status, nil); err != nil {
				t.Fatal(err)
			}
			d := newDispatcher(store, slog.New(slog.DiscardHandler))
			d.add(status, signed, nil)
			next := d.keepTime(t.Context(), func(context.Context) ([]webjob.Client, error) {
				return []webjob.Client{{ID: "web1", Platform: "linux/amd64"}}, nil
			})
			if !next.Equal(latest.Add(time.Hour)) {
				t.Errorf("the next time is %s, want %s", next, latest.Add(time.Hour))
			}
			if total := d.orders["o1"].status.Counts.Total(); total != want {
				t.Errorf("%d runs were made, want %d", total, want)
			}
			if want == 1 && d.orders["o1"].runs[order.RunID("web1", latest)] == nil {
				t.Errorf("the run made is not that of the latest time: %v", d.orders["o1"].runs)
			}
		})
	}
}

// A run that its agent gave up, of an order that was stopped meanwhile, is over: it
// does not wait for good.
func TestGivenUpRunsOfStoppedOrdersEnd(t *testing.T) {
	o := &liveOrder{status: webjob.OrderStatus{State: webjob.OrderStopped}, runs: map[string]*liveRun{}}
	held, gone := &liveRun{order: o, run: "held", state: webjob.RunRunning}, &liveRun{order: o, run: "gone", state: webjob.RunRunning}
	c := &liveClient{runs: []*liveRun{held, gone}}
	_, stopped, _ := c.reconcile(map[string]webjob.RunState{"held": webjob.RunRunning})
	if len(stopped) != 1 || stopped[0] != gone {
		t.Errorf("got %v, want the one that is gone", stopped)
	}
}

// busyStore has something happen before the first change of an order, which may be an
// error.
type busyStore struct {
	*sqlite.Store

	first func() error
	once  sync.Once
}

func (s *busyStore) ChangeOrder(ctx context.Context, o webjob.OrderStatus, deliveries []webjob.Delivery) error {
	var err error
	s.once.Do(func() { err = s.first() })
	if err != nil {
		return err
	}
	return s.Store.ChangeOrder(ctx, o, deliveries)
}

// Who resumes an order while it is being stopped gets an open order with queued runs,
// and not one that is open here and stopped in the store.
func TestResumeWaitsForTheStop(t *testing.T) {
	sql, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "meta.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sql.Close() }()
	begun, goOn := make(chan struct{}), make(chan struct{})
	store := &busyStore{Store: sql, first: func() error { close(begun); <-goOn; return nil }}
	status := webjob.OrderStatus{Order: webjob.Order{ID: "o1", Job: "job", Expires: now().Add(time.Hour)}, State: webjob.OrderOpen, Envelope: []byte("e"), Counts: webjob.Counts{webjob.RunQueued: 1}}
	runs := []webjob.OrderRun{{Run: "o1.web1", Order: "o1", Client: "web1", State: webjob.RunQueued, Updated: now()}}
	if _, err := store.AddOrder(t.Context(), status, runs); err != nil {
		t.Fatal(err)
	}
	d := newDispatcher(store, slog.New(slog.DiscardHandler))
	d.add(status, &trust.SignedOrder{Order: status.Order}, runs)
	stopped, resumed := make(chan error, 1), make(chan error, 1)
	go func() { stopped <- d.stop(t.Context(), "o1", "for a test", false) }()
	<-begun
	go func() { resumed <- d.resume(t.Context(), "o1") }()
	select {
	case err := <-resumed:
		t.Errorf("it was resumed before it was stopped: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	close(goOn)
	if err := errors.Join(<-stopped, <-resumed); err != nil {
		t.Fatal(err)
	}
	after, err := store.Order(t.Context(), "o1")
	if err != nil || after.State != webjob.OrderOpen || after.Counts[webjob.RunQueued] != 1 {
		t.Errorf("the store has %s, %v, %v; want it open with one run queued", after.State, after.Counts, err)
	}
}

// The end of an order that could not be stored is not lost.
func TestEndOfOrderIsStoredLater(t *testing.T) {
	for _, state := range []webjob.OrderState{webjob.OrderOpen, webjob.OrderStopped} {
		t.Run(string(state), func(t *testing.T) { endOfOrderIsStoredLater(t, state) })
	}
}

func endOfOrderIsStoredLater(t *testing.T, state webjob.OrderState) {
	sql, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "meta.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sql.Close() }()
	store := &busyStore{Store: sql, first: func() error { return webjob.Errorf(webjob.Unavailable, "the disk is full") }}
	status := webjob.OrderStatus{Order: webjob.Order{ID: "o1", Job: "job", Expires: now().Add(time.Hour)}, State: state, Envelope: []byte("e"), Counts: webjob.Counts{}}
	if _, err := store.AddOrder(t.Context(), status, nil); err != nil {
		t.Fatal(err)
	}
	d := newDispatcher(store, slog.New(slog.DiscardHandler))
	told := 0
	d.told = func() { told++ }
	d.add(status, nil, nil)
	if err := d.judge(t.Context(), d.orders["o1"]); webjob.KindOf(err) != webjob.Unavailable {
		t.Fatalf("got %v, want an Unavailable error", err)
	}
	if o := d.orders["o1"]; o == nil || o.status.State != state || told != 0 {
		t.Fatalf("it ended without being stored: %+v, told %d times", o, told)
	}
	d.keepTime(t.Context(), func(context.Context) ([]webjob.Client, error) { return nil, nil })
	after, err := store.Order(t.Context(), "o1")
	if err != nil || after.State != webjob.OrderDone || told != 1 || len(d.orders) != 0 {
		t.Errorf("the store has %s, %v; told %d times; %d orders are open", after.State, err, told, len(d.orders))
	}
}
