package server

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/store/sqlite"
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
