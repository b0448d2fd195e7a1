package dispatch

import (
	"context"
	"testing"
	"time"

	"webjob.dev/webjob"
)

// slowStore has something happen after a look at an order, before it is taken over.
type slowStore struct {
	Store

	meanwhile func()
}

func (s *slowStore) OpenOrder(ctx context.Context, id string, visit func(webjob.OrderRun) error) (webjob.OrderStatus, error) {
	o, err := s.Store.OpenOrder(ctx, id, visit)
	if meanwhile := s.meanwhile; meanwhile != nil {
		s.meanwhile = nil
		meanwhile()
	}
	return o, err
}

func (s *slowStore) OfferRuns(ctx context.Context, offers []webjob.Offer, until time.Time) ([]string, error) {
	given, err := s.Store.OfferRuns(ctx, offers, until)
	if meanwhile := s.meanwhile; meanwhile != nil {
		s.meanwhile = nil
		meanwhile()
	}
	return given, err
}

// A run that ends while its offer is stored is not offered, and counts once.
func TestRunThatEndsWhileItIsOffered(t *testing.T) {
	w := newWorld(t, 1, "web1", "web2")
	s := &slowStore{Store: w.store}
	d := w.dispatcher(s)
	w.create(d, w.order("once"), "alice")
	s.meanwhile = func() { w.result(d, "once", "web1", webjob.Succeeded) }
	w.wants(d, "web1", 1, nil, 0)
	w.must(agree(w, d))
}

// What happens while an order is read anew is not undone in the cache by what was read.
func TestWhatHappensDuringALookIsKept(t *testing.T) {
	for name, happens := range map[string]struct {
		to   string
		this func(*world, *Dispatcher)
	}{
		"a run ends": {"late", func(w *world, d *Dispatcher) { w.result(d, "late", "web1", webjob.Succeeded) }},
		"all runs end": {"once", func(w *world, d *Dispatcher) {
			w.result(d, "once", "web1", webjob.Succeeded)
			w.result(d, "once", "web2", webjob.Succeeded)
		}},
		"it is stopped":   {"late", func(w *world, d *Dispatcher) { w.must(d.Stop(t.Context(), "late", "why", false)) }},
		"its window ends": {"once", func(w *world, d *Dispatcher) { w.must(d.expire(t.Context(), d.order("once"))) }},
		"a client joins": {"late", func(w *world, d *Dispatcher) {
			w.enroll("web3")
			w.must(d.Join(t.Context(), "web3"))
		}},
		"its canary changes": {"late", func(w *world, d *Dispatcher) {
			w.must(w.store.SwapRanks(t.Context(), "late", "late.web1", "late.web2"))
			w.must(d.reload(t.Context(), "late"))
		}},
		"a result comes of a run that is not in the cache": {"late", func(w *world, d *Dispatcher) {
			d.mu.Lock()
			d.detach(d.orders["late"], "late.web1")
			d.mu.Unlock()
			w.result(d, "late", "web1", webjob.Succeeded)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, "web1", "web2")
			s := &slowStore{Store: w.store}
			d := w.dispatcher(s)
			w.create(d, w.order("late", func(o *webjob.Order) { o.Late, o.Canary = true, 1 }), "alice")
			w.create(d, w.order("once"), "alice")
			s.meanwhile = func() { happens.this(w, d) }
			w.must(d.reload(t.Context(), happens.to))
			settle(t, d)
			w.must(agree(w, d))
			for id, o := range d.orders {
				if o.ended != nil || o.looking != 0 {
					t.Errorf("order %s: %d looks never end, and %d runs are remembered for them", id, o.looking, len(o.ended))
				}
				_, err := w.store.OpenOrder(t.Context(), id, func(r webjob.OrderRun) error {
					if got := o.runs[r.Run].rank; got != r.Rank {
						t.Errorf("run %s has rank %d, and %d in the store", r.Run, got, r.Rank)
					}
					return nil
				})
				w.must(err)
			}
		})
	}
}

// A new order that others changed before it came into the cache is known as they left it.
func TestNewOrderThatChangesAtOnce(t *testing.T) {
	w := newWorld(t, 1, "web1")
	s := &interleaved{Store: w.store}
	d := w.dispatcher(s)
	orders := 0
	s.before = func(call string) {
		if call != "Order" {
			return
		}
		if orders++; orders == 1 { // it is stored, and not yet in the cache
			w.must(d.Stop(t.Context(), "once", "why", false))
		}
	}
	w.create(d, w.order("once"), "alice")
	settle(t, d)
	w.must(agree(w, d))
	d.order("once").status.Expires = time.Now()
	w.must(d.expire(t.Context(), d.order("once")))
	w.isState("once", webjob.OrderExpired)
}

// Of two looks the newer one counts, whichever was begun or taken over first.
func TestOlderLookIsNotTakenOver(t *testing.T) {
	w := newWorld(t, 1, "web1")
	s := &slowStore{Store: w.store}
	d, other := w.dispatcher(s), w.dispatcher(w.store)
	w.create(d, w.order("once"), "alice")
	w.must(other.Load(t.Context()))
	first, second := d.begin("once"), d.begin("once")
	s.meanwhile = func() {
		w.must(other.Stop(t.Context(), "once", "why", false))
		w.must(d.read(t.Context(), "once", first))
	}
	w.must(d.read(t.Context(), "once", second))
	d.end("once", first, false)
	d.end("once", second, false)
	w.must(agree(w, d))
}

// What another server knows of an order ends it here, too, as soon as a client asks.
func TestOrderEndsByWhatAnotherServerKnows(t *testing.T) {
	w := newWorld(t, 1, "web1", "web2")
	d, other := w.dispatcher(w.store), w.dispatcher(w.store)
	w.create(d, w.order("once"), "alice")
	w.result(other, "once", "web2", webjob.Succeeded)
	w.result(other, "once", "web1", webjob.Succeeded)
	if found := w.poll(d, "web1", 1, nil); !found.Empty() {
		t.Errorf("web1 got %v, which has ended", found)
	}
	w.isState("once", webjob.OrderDone)
}

// So does the end of its window, when no client asks.
func TestWindowEndsWhateverTheCacheHas(t *testing.T) {
	w := newWorld(t, 1, "web1", "web2")
	d, other := w.dispatcher(w.store), w.dispatcher(w.store)
	w.create(d, w.order("once"), "alice")
	for _, client := range []string{"web1", "web2"} {
		w.poll(other, client, 1, nil)
		w.result(other, "once", client, webjob.Succeeded)
	}
	w.must(d.expire(t.Context(), d.order("once")))
	w.isState("once", webjob.OrderDone)
}
