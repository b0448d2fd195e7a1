package transport

import (
	"context"
	"testing"
	"time"

	"webjob.dev/webjob"
)

// One client takes a quarter of the places and no more, and waits for its own.
func TestPlacesAreShared(t *testing.T) {
	p := NewPlaces("testing", 8)
	var leave []func()
	take := func(client string) {
		t.Helper()
		done, err := p.Take(t.Context(), client)
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, done)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	gone := WithDeparture(ended)
	full := func(client string) bool {
		done, err := p.Take(gone, client)
		if err == nil {
			done()
		} else if webjob.KindOf(err) != webjob.Unavailable {
			t.Error(err)
		}
		return err != nil
	}
	take("greedy")
	take("greedy")
	if !full("greedy") {
		t.Error("one client has more than a quarter")
	}
	for _, client := range []string{"a", "a", "b", "b", "c", "c"} {
		take(client)
	}
	if !full("d") {
		t.Error("there are more places than there are")
	}
	waiting := make(chan func(), 1)
	go func() {
		done, _ := p.Take(t.Context(), "greedy")
		waiting <- done
	}()
	select {
	case <-waiting:
		t.Error("it did not wait")
	case <-time.After(50 * time.Millisecond):
	}
	leave[0]()
	leave[0] = <-waiting
	for _, done := range leave {
		done()
	}
	if len(p.shares) != 0 || len(p.taken) != 0 {
		t.Errorf("%d clients are remembered, %d places taken", len(p.shares), len(p.taken))
	}
}
