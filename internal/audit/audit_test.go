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
		a.After, a.Reason = []byte(`{}`), "why not"
		if err := l.Failed(t.Context(), a, err); err != nil {
			t.Fatal(err)
		}
	}
	if len(store.list) != 2 {
		t.Fatalf("%d entries: %+v", len(store.list), store.list)
	}
	refused, failed := store.list[0], store.list[1]
	if refused.Outcome != webjob.ActRefused || refused.Error != "may not" || refused.Reason != "why not" || refused.After != nil || failed.Outcome != webjob.ActFailed || len(failed.Error) != maxError {
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

// Strangers cannot fill the log: the rest of their tries is in one entry a minute.
func TestStrangersAreBounded(t *testing.T) {
	store := &acts{}
	l := New(store)
	refused := webjob.Errorf(webjob.Refused, "token is unknown")
	try := func(after time.Duration, address string) {
		t.Helper()
		a := act(after, "client.enroll", "web1")
		a.Actor, a.Address = webjob.TokenActor("0123456789ab"), address
		if err := l.Stranger(t.Context(), a, refused); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1000 {
		try(time.Second, fmt.Sprintf("192.0.2.7:%d", 1000+i)) // one machine, many ports
		try(time.Second, fmt.Sprintf("[2001:db8::%x]:9", i))  // and one with many addresses
	}
	if len(store.list) != 2*perAddress || store.list[0].Outcome != webjob.ActRefused || store.list[0].Error != "token is unknown" {
		t.Fatalf("%d entries: %+v", len(store.list), store.list[0])
	}
	for i := range 1000 { // a botnet
		try(2*time.Second, fmt.Sprintf("10.0.%d.%d:9", i/256, i%256))
	}
	if len(store.list) != perMinute {
		t.Fatalf("%d entries", len(store.list))
	}
	if n := len(l.strangers.by) + len(l.strangers.rest.Addresses); n > perMinute+maxNamed+1 {
		t.Errorf("%d addresses are remembered", n)
	}
	if err := l.Flush(t.Context(), start.Add(30*time.Second)); err != nil || len(store.list) != perMinute {
		t.Errorf("%d entries before the minute is over (%v)", len(store.list), err)
	}
	try(2*time.Minute, "192.0.2.7:9")
	if len(store.list) != perMinute+2 {
		t.Fatalf("%d entries", len(store.list))
	}
	rest, next := store.list[perMinute], store.list[perMinute+1]
	for _, says := range []string{`"tries":2900`, `"client.enroll":2900`, `"192.0.2.7":990`, `"2001:db8::/64":990`, `"others":`} {
		if rest.Actor != webjob.ServerActor || rest.Action != ActionRest || !strings.Contains(string(rest.After), says) {
			t.Errorf("the entry about the rest lacks %s: %+v %s", says, rest, rest.After)
		}
	}
	if next.Action != "client.enroll" {
		t.Errorf("a new minute begins with %+v", next)
	}
	if err := l.Flush(t.Context(), start.Add(time.Hour)); err != nil || len(store.list) != perMinute+2 {
		t.Errorf("%d entries after a minute without a rest (%v)", len(store.list), err)
	}
}
