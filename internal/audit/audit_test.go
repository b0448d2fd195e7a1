package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
)

// acts is a store that keeps what is recorded, or fails.
type acts struct {
	webjob.Audit

	list []webjob.Act
	err  error
}

func (a *acts) RecordActs(ctx context.Context, list ...webjob.Act) error {
	if webjob.ActOf(ctx) != nil {
		panic("a store would record the act of the context as well")
	}
	if a.err == nil {
		a.list = append(a.list, list...)
	}
	return a.err
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func act(after time.Duration, action, target string) *webjob.PendingAct {
	return &webjob.PendingAct{Act: webjob.Act{Time: start.Add(after), Actor: "olga", Action: action, Target: target}}
}

func TestReadsAreRecordedOnceInAWhile(t *testing.T) {
	store := &acts{}
	l := New(store)
	read := func(after time.Duration, target string, want int) {
		t.Helper()
		if err := l.Done(t.Context(), act(after, "result.read", target), false); err != nil || len(store.list) != want {
			t.Fatalf("%d entries after reading %s at %s, want %d (%v)", len(store.list), target, after, want, err)
		}
	}
	read(0, "run1", 1)
	read(9*time.Minute, "run1", 1)
	read(9*time.Minute, "run2", 2)
	read(11*time.Minute, "run1", 3) // long enough ago
	read(18*time.Minute, "run2", 3) // nine minutes ago, though the memory was rotated meanwhile
	read(19*time.Minute, "run2", 4)
	read(20*time.Minute, "run1", 4)
	for i := range 3 * maxRemembered { // what is remembered is bounded
		if err := l.Done(t.Context(), act(20*time.Minute, "result.read", fmt.Sprint("other", i)), false); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(l.recent) + len(l.previous); n > 2*maxRemembered {
		t.Errorf("%d reads are remembered", n)
	}
}

// Whoever has a copy of an operator's key is not hidden by what the operator has just done.
func TestReadsFromAnotherHostAreRecorded(t *testing.T) {
	store := &acts{}
	l := New(store)
	for _, c := range []struct {
		address string
		want    int
	}{{"10.0.0.1:4000", 1}, {"10.0.0.1:4001", 1}, {"10.0.0.2:4000", 2}, {"[2001:db8::1]:1", 3}, {"[2001:db8::1]:2", 3}} {
		a := act(0, "result.read", "run1")
		a.Address = c.address
		if err := l.Done(t.Context(), a, false); err != nil || len(store.list) != c.want {
			t.Errorf("from %s: %d entries, want %d (%v)", c.address, len(store.list), c.want, err)
		}
	}
}

func TestChangesAreRecordedEachTime(t *testing.T) {
	store := &acts{}
	l := New(store)
	for range 3 {
		reload := act(0, "config.reload", "")
		if err := l.Done(webjob.WithAct(t.Context(), reload), reload, true); err != nil {
			t.Fatal(err)
		}
	}
	carried := act(0, "client.revoke", "web1")
	carried.Record() // by the store
	if err := errors.Join(l.Done(t.Context(), carried, true), l.Failed(t.Context(), carried, errors.New("later"))); err != nil || len(store.list) != 3 {
		t.Errorf("%d entries, %v", len(store.list), err)
	}
}

func TestRefusalsAreRecordedOnceInAWhile(t *testing.T) {
	store := &acts{}
	l := New(store)
	for _, err := range []error{
		webjob.Errorf(webjob.Refused, "may not"), webjob.Errorf(webjob.Refused, "may not"),
		webjob.Errorf(webjob.Conflict, "%s", strings.Repeat("long", 1000)), webjob.Errorf(webjob.Unauthorized, "who?"),
	} {
		a := act(0, "order.stop", "o1")
		a.After = []byte(`{}`)
		if err := l.Failed(t.Context(), a, err); err != nil {
			t.Fatal(err)
		}
	}
	if len(store.list) != 2 {
		t.Fatalf("%d entries: %+v", len(store.list), store.list)
	}
	refused, failed := store.list[0], store.list[1]
	if refused.Outcome != webjob.ActRefused || refused.Reason != "may not" || refused.After != nil || failed.Outcome != webjob.ActFailed || len(failed.Reason) != maxReason {
		t.Errorf("got %+v", store.list)
	}
}

// What could not be recorded is tried again next time.
func TestFailureIsNotRemembered(t *testing.T) {
	store := &acts{err: webjob.Errorf(webjob.Unavailable, "disk full")}
	l := New(store)
	if err := l.Done(t.Context(), act(0, "result.read", "run1"), false); err == nil {
		t.Fatal("no error")
	}
	store.err = nil
	if err := l.Done(t.Context(), act(time.Second, "result.read", "run1"), false); err != nil || len(store.list) != 1 {
		t.Errorf("%d entries, %v", len(store.list), err)
	}
}
