package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/config"
)

// kept is a store of deliveries in memory.
type kept struct {
	mu    sync.Mutex
	list  []webjob.Delivery
	fails bool // to note anything
	asked int  // how often what is due was read
	moved chan struct{}
}

func newKept() *kept { return &kept{moved: make(chan struct{}, 10_000)} }

func (k *kept) add(trigger string, n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for range n {
		sequence := int64(len(k.list) + 1)
		k.list = append(k.list, webjob.Delivery{Sequence: sequence, Trigger: trigger, Event: webjob.Event{ID: fmt.Sprint(sequence), Kind: webjob.OnGet}})
	}
}

func (k *kept) AddDeliveries(context.Context, []webjob.Delivery) error { return errors.ErrUnsupported }

func (k *kept) DueTriggers(context.Context) (map[string]time.Time, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	due := map[string]time.Time{}
	for _, d := range k.list {
		if at, found := due[d.Trigger]; d.Sequence > 0 && !d.Dead && (!found || d.NextAt.Before(at)) {
			due[d.Trigger] = d.NextAt
		}
	}
	return due, nil
}

func (k *kept) DueDeliveries(_ context.Context, trigger string, now time.Time, limit int) (due []webjob.Delivery, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	for _, d := range k.list {
		if d.Sequence > 0 && !d.Dead && d.Trigger == trigger && !d.NextAt.After(now) && len(due) < limit {
			due = append(due, d)
		}
	}
	return due, nil
}

func (k *kept) Delivered(_ context.Context, sequences []int64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fails {
		return webjob.Errorf(webjob.Unavailable, "disk full")
	}
	for _, sequence := range sequences {
		k.list[sequence-1].Sequence = 0
		k.moved <- struct{}{}
	}
	return nil
}

func (k *kept) Postpone(_ context.Context, d webjob.Delivery) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fails {
		return webjob.Errorf(webjob.Unavailable, "disk full")
	}
	k.list[d.Sequence-1] = d
	k.moved <- struct{}{}
	return nil
}

func (k *kept) ListDeliveries(_ context.Context, dead bool, _ webjob.Page) (list []webjob.Delivery, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, d := range k.list {
		if d.Sequence > 0 && d.Dead == dead {
			list = append(list, d)
		}
	}
	return list, nil
}

func (k *kept) RetryDeliveries(context.Context, int64, time.Time) (int64, error) {
	return 0, errors.ErrUnsupported
}

// courier runs until the test ends.
func courier(t *testing.T, k *kept, triggers map[string]Settings) *Courier {
	t.Helper()
	c := NewCourier(k, func(name string) *Settings {
		if s, found := triggers[name]; found {
			return &s
		}
		return nil
	}, slog.New(slog.NewTextHandler(io.Discard, nil)), func(string, error) {})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { c.Run(ctx); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	return c
}

// A trigger that hangs, and has more to be told than fits a batch, keeps the others waiting
// for nothing; each is told in order, one after another.
func TestSlowTriggerHoldsUpNoOther(t *testing.T) {
	hangs := make(chan struct{})
	begun := make(chan string, 1000)
	slow, _ := endpoint(t, false, func(_ http.ResponseWriter, r *http.Request) {
		begun <- r.Header.Get(HeaderEventID)
		<-hangs
	})
	defer close(hangs) // before the endpoint closes
	slow.Timeout = config.Duration(10 * time.Minute)
	var mu sync.Mutex
	var order []int
	quick, _ := endpoint(t, false, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		sequence, err := strconv.Atoi(r.Header.Get(HeaderEventID))
		if err != nil {
			t.Error(err)
		}
		order = append(order, sequence)
	})
	k := newKept()
	k.add("slow", 3*batch)
	k.add("quick", 2*batch+1)
	k.add("gone", 1)
	c := courier(t, k, map[string]Settings{"slow": slow, "quick": quick})
	for range 2*batch + 2 {
		<-k.moved
	}
	if first := <-begun; first != "1" || len(begun) > 0 {
		t.Errorf("the slow one was told %s, and %d more at the same time", first, len(begun))
	}
	dead, err := k.ListDeliveries(t.Context(), true, webjob.Page{})
	must(t, err)
	if len(dead) != 1 || dead[0].Trigger != "gone" {
		t.Errorf("dead are %v", dead)
	}
	k.add("quick", 1) // what comes later is not held up either
	c.Wake()
	<-k.moved
	mu.Lock()
	defer mu.Unlock()
	if !slices.IsSorted(order) || len(order) != 2*batch+2 {
		t.Errorf("%d were told in this order: %v", len(order), order)
	}
}

// While the store cannot note what was delivered, triggers are not told over and over.
func TestCourierRestsWhenTheStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKept()
		k.fails = true
		k.add("gone", 1)
		c := NewCourier(k, func(string) *Settings { return nil }, slog.New(slog.NewTextHandler(io.Discard, nil)), func(string, error) {})
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		c.Run(ctx)
		if rounds := int(time.Minute / storeTrouble); k.asked < rounds || k.asked > rounds+1 {
			t.Errorf("it tried %d times in a minute, want %d", k.asked, rounds)
		}
	})
}
