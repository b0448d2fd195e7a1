package dispatch

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust/trusttest"
)

// interleaved is a store in which something happens before each call, or a call fails.
type interleaved struct {
	Store

	before func(call string)
	calls  int
	fails  int // this call fails, counted from 1; 0 none
}

func (s *interleaved) call(name string) error {
	s.calls++
	if s.before != nil {
		before := s.before
		s.before = nil // what happens is not interleaved itself
		before(name)
		s.before = before
	}
	if s.calls == s.fails {
		return webjob.Errorf(webjob.Unavailable, "call %d, %s, fails", s.calls, name)
	}
	return nil
}

func (s *interleaved) AddOrder(ctx context.Context, o webjob.OrderStatus, runs []webjob.OrderRun) (bool, error) {
	if err := s.call("AddOrder"); err != nil {
		return false, err
	}
	return s.Store.AddOrder(ctx, o, runs)
}

func (s *interleaved) Order(ctx context.Context, id string) (webjob.OrderStatus, error) {
	if err := s.call("Order"); err != nil {
		return webjob.OrderStatus{}, err
	}
	return s.Store.Order(ctx, id)
}

func (s *interleaved) OpenOrder(ctx context.Context, id string, visit func(webjob.OrderRun) error) (webjob.OrderStatus, error) {
	if err := s.call("OpenOrder"); err != nil {
		return webjob.OrderStatus{}, err
	}
	return s.Store.OpenOrder(ctx, id, visit)
}

func (s *interleaved) OpenRuns(ctx context.Context, visit func(webjob.OrderRun) error) error {
	if err := s.call("OpenRuns"); err != nil {
		return err
	}
	return s.Store.OpenRuns(ctx, visit)
}

func (s *interleaved) ChangeOrder(ctx context.Context, c webjob.OrderChange) (webjob.OrderStatus, error) {
	if err := s.call("ChangeOrder"); err != nil {
		return webjob.OrderStatus{}, err
	}
	return s.Store.ChangeOrder(ctx, c)
}

func (s *interleaved) JoinOrder(ctx context.Context, order string, runs []webjob.OrderRun) ([]webjob.OrderRun, error) {
	if err := s.call("JoinOrder"); err != nil {
		return nil, err
	}
	return s.Store.JoinOrder(ctx, order, runs)
}

func (s *interleaved) OfferRuns(ctx context.Context, offers []webjob.Offer, until time.Time) ([]string, error) {
	if err := s.call("OfferRuns"); err != nil {
		return nil, err
	}
	return s.Store.OfferRuns(ctx, offers, until)
}

func (s *interleaved) HoldRuns(ctx context.Context, runs []string, until time.Time) error {
	if err := s.call("HoldRuns"); err != nil {
		return err
	}
	return s.Store.HoldRuns(ctx, runs, until)
}

func (s *interleaved) MoveRuns(ctx context.Context, order string, move webjob.RunMove, at time.Time) (int64, error) {
	if err := s.call("MoveRuns"); err != nil {
		return 0, err
	}
	return s.Store.MoveRuns(ctx, order, move, at)
}

func (s *interleaved) SwapRanks(ctx context.Context, order, run, other string) error {
	if err := s.call("SwapRanks"); err != nil {
		return err
	}
	return s.Store.SwapRanks(ctx, order, run, other)
}

func (s *interleaved) Client(ctx context.Context, id string) (webjob.Client, error) {
	if err := s.call("Client"); err != nil {
		return webjob.Client{}, err
	}
	return s.Store.Client(ctx, id)
}

func (s *interleaved) ListClients(ctx context.Context, p webjob.Page) ([]webjob.Client, error) {
	if err := s.call("ListClients"); err != nil {
		return nil, err
	}
	return s.Store.ListClients(ctx, p)
}

func (s *interleaved) JobVersion(ctx context.Context, name string, version int64) (webjob.JobVersion, error) {
	if err := s.call("JobVersion"); err != nil {
		return webjob.JobVersion{}, err
	}
	return s.Store.JobVersion(ctx, name, version)
}

// scenario is a life of orders: created with too few signatures, stopped, resumed,
// approved, joined, offered, run, and expired. Each step is tried again until it has
// succeeded, as people and clients do.
func scenario(w *world, d *Dispatcher, retry func(step func() error)) {
	ctx := w.t.Context()
	late := w.order("late", func(o *webjob.Order) { o.Late, o.Canary, o.Rate = true, 1, webjob.MaxRate })
	once := w.order("once")
	envelopes := map[string][]byte{"alice": w.sign(late, "alice"), "bob": w.sign(late, "bob"), "both": w.sign(once, "alice", "bob")}
	create := func(by string) func() error {
		return func() error { _, err := d.Create(ctx, Creation{Envelope: envelopes[by], By: "olga"}); return err }
	}
	poll := func(client string, known map[string]webjob.RunState) func() error {
		return func() error {
			c, err := w.store.Client(ctx, client)
			w.must(err)
			return d.Wait(ctx, &Waiter{Client: c, Free: 9, Known: known, Answer: func(Work) {}, Drop: func() {}}, 0)
		}
	}
	stop := func(id string) func() error { return func() error { return d.Stop(ctx, id, "why", true) } }
	retry(create("alice"))
	retry(create("both"))
	retry(stop("late"))
	retry(func() error { return ignoreConflict(d.Resume(ctx, "late")) })
	retry(func() error { _, err := d.Approve(ctx, "late", envelopes["bob"]); return ignoreConflict(err) })
	w.enroll("web3")
	retry(func() error { return d.Join(ctx, "web3") })
	for _, client := range []string{"web1", "web2", "web3"} {
		retry(poll(client, nil))
	}
	retry(stop("once"))
	retry(poll("web2", nil)) // gave up what it was offered of the stopped order
	retry(func() error { return ignoreConflict(d.Resume(ctx, "once")) })
	retry(poll("web2", map[string]webjob.RunState{"late.web2": webjob.RunRunning}))
	for _, client := range []string{"web1", "web2", "web3"} {
		w.result(d, "late", client, webjob.Succeeded)
	}
	w.result(d, "once", "web1", webjob.Failed)
	retry(poll("web2", map[string]webjob.RunState{"once.web2": webjob.RunLost}))
}

func ignoreConflict(err error) error {
	if webjob.KindOf(err) == webjob.Conflict {
		return nil // it was done at the first attempt
	}
	return err
}

// settle does what goes on by itself until nothing is stale.
func settle(t *testing.T, d *Dispatcher) {
	t.Helper()
	for range 20 {
		if !slices.ContainsFunc(d.list(), d.isStale) {
			return
		}
		d.refresh(t.Context())
	}
	t.Fatal("orders stay stale")
}

// agree checks that memory and store say the same.
func agree(w *world, d *Dispatcher) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	total := 0
	for _, id := range []string{"late", "once"} {
		stored, err := w.store.Order(w.t.Context(), id)
		if webjob.KindOf(err) == webjob.NotFound {
			continue
		}
		w.must(err)
		o := d.orders[id]
		if (o == nil) != !stored.EndedAt.IsZero() {
			return fmt.Errorf("order %s is %s in the store, and known: %v", id, stored.State, o != nil)
		}
		open := map[string]webjob.OrderRun{}
		_, err = w.store.OpenOrder(w.t.Context(), id, func(r webjob.OrderRun) error { open[r.Run] = r; return nil })
		w.must(err)
		if o == nil {
			if len(open) > 0 {
				return fmt.Errorf("order %s has ended, and runs of it have not: %v", id, open)
			}
			continue
		}
		if o.status.State != stored.State || o.status.Revision != stored.Revision || len(o.runs) != len(open) {
			return fmt.Errorf("order %s is %s, revision %d with %d runs, and %s, revision %d with %d in the store",
				id, o.status.State, o.status.Revision, len(o.runs), stored.State, stored.Revision, len(open))
		}
		for run, r := range o.runs {
			if open[run].State != r.state || r.offering {
				return fmt.Errorf("run %s is %s (offering %v), and %q in the store", run, r.state, r.offering, open[run].State)
			}
		}
		for state, n := range o.status.Counts {
			if stored.Counts[state] != n {
				return fmt.Errorf("order %s counts %v, the store %v", id, o.status.Counts, stored.Counts)
			}
		}
		total += len(open)
	}
	if d.total != total {
		return fmt.Errorf("%d runs are counted, and there are %d", d.total, total)
	}
	return nil
}

// nextCall is the call after one that is to be tested.
func nextCall(call int) int {
	if call == 0 {
		return 1 + rand.N(stride)
	}
	return call + stride
}

// The store fails at each call in turn: whoever tries again succeeds, and in the end memory
// and store say the same.
func TestStoreFailsAtEveryCall(t *testing.T) {
	signers := trusttest.New(t, 2, "alice", "bob", "carol")
	calls := 1
	for fails := 0; fails <= calls; fails = nextCall(fails) {
		w := newWorldFor(t, signers, "web1", "web2")
		s := &interleaved{Store: w.store, fails: fails}
		d := w.dispatcher(s)
		attempts := 0
		scenario(w, d, func(step func() error) {
			t.Helper()
			for range 3 {
				attempts++
				err := step()
				settle(t, d)
				if err == nil {
					return
				}
				if webjob.KindOf(err) != webjob.Unavailable {
					t.Fatalf("call %d failed: %v", fails, err)
				}
			}
			t.Fatalf("call %d failed, and nothing succeeded after it", fails)
		})
		if fails == 0 {
			calls = s.calls
		}
		settle(t, d)
		if err := agree(w, d); err != nil {
			t.Fatalf("call %d failed, and then: %v", fails, err)
		}
		for id, want := range map[string]webjob.OrderState{"late": webjob.OrderOpen, "once": webjob.OrderDone} {
			if got := w.stored(id); got.State != want || got.Counts[webjob.RunQueued]+got.Counts[webjob.RunOffered] > 0 {
				t.Fatalf("call %d failed, and order %s is %s with %v, want %s", fails, id, got.State, got.Counts, want)
			}
		}
		_ = w.store.Close()
	}
	if calls < 40 {
		t.Errorf("only %d calls were made", calls)
	}
}

// Another server stops, resumes or approves at each call in turn. What comes of it is what
// came last in the store; memory and store say the same, and no order opens that lacks
// signatures.
func TestAnotherChangeComesBetweenAtEveryCall(t *testing.T) {
	for _, what := range []string{"stop", "resume", "approve", "clock"} {
		t.Run(what, func(t *testing.T) {
			signers := trusttest.New(t, 2, "alice", "bob", "carol")
			calls := 1
			for at := 0; at <= calls; at = nextCall(at) {
				w := newWorldFor(t, signers, "web1", "web2")
				s := &interleaved{Store: w.store}
				d, other := w.dispatcher(s), w.dispatcher(w.store)
				s.before = func(string) {
					if s.calls != at {
						return
					}
					w.must(other.Load(t.Context()))
					switch what {
					case "stop":
						_ = other.Stop(t.Context(), "late", "other", false)
					case "resume":
						_ = other.Resume(t.Context(), "late")
					case "approve":
						_, _ = other.Approve(t.Context(), "late", w.sign(w.order("late"), "bob"))
					case "clock":
						other.keepTime(t.Context())
					}
				}
				scenario(w, d, func(step func() error) {
					for range 5 {
						if step() == nil {
							return
						}
					}
				})
				if at == 0 {
					calls = s.calls
				}
				for _, id := range []string{"late", "once"} {
					d.mu.Lock()
					if o := d.orders[id]; o != nil {
						o.stale = true // as the feed of changes will tell, or a Conflict
					}
					d.mu.Unlock()
				}
				settle(t, d)
				if err := agree(w, d); err != nil {
					t.Fatalf("%s at call %d: %v", what, at, err)
				}
				late := w.stored("late")
				signed, err := w.signers.Policy().OpenOrder(late.Envelope)
				w.must(err)
				if late.State == webjob.OrderOpen && len(signed.SignedBy) < 2 {
					t.Fatalf("%s at call %d: the order is open and %v signed it", what, at, signed.SignedBy)
				}
				_ = w.store.Close()
			}
		})
	}
}
