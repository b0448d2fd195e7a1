package audit

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"webjob.dev/webjob"
)

// How many tries of those who are nobody here are recorded in a minute: from one address,
// and altogether. The log is never shortened, so a stranger must not be able to fill it.
const (
	perAddress = 10
	perMinute  = 100
	minute     = time.Minute
)

// maxNamed bounds the addresses that the entry about the rest names.
const maxNamed = 10

// ActionRest is the action of the entry about tries that have no entry of their own.
const ActionRest = "audit.rest"

// strangers counts the tries of this minute. Its maps have at most perMinute keys.
type strangers struct {
	mu       sync.Mutex
	since    time.Time
	recorded int
	by       map[string]int // recorded, by address
	rest     rest
}

// rest is what the entry about the rest says.
type rest struct {
	Since     time.Time      `json:"since"`
	Until     time.Time      `json:"until"`
	Tries     int            `json:"tries"`
	Actions   map[string]int `json:"actions"`
	Addresses map[string]int `json:"addresses"` // the first ones, and "others"
}

// Stranger records what somebody tried who is not let in: up to so many tries a minute.
// The rest is counted, and told in one entry when the minute is over.
func (l *Log) Stranger(ctx context.Context, act *webjob.PendingAct, err error) error {
	note(act, err)
	told, isIn := l.strangers.admit(act.Act)
	if told != nil {
		if err := l.store.RecordActs(webjob.WithAct(ctx, nil), *told); err != nil {
			return err
		}
	}
	if !isIn {
		return nil
	}
	return l.record(ctx, act, false)
}

// Flush records the rest of a minute that is over at a time.
func (l *Log) Flush(ctx context.Context, at time.Time) error {
	told := l.strangers.turn(at)
	if told == nil {
		return nil
	}
	return l.store.RecordActs(webjob.WithAct(ctx, nil), *told)
}

// Close records the rest of the minute under way.
func (l *Log) Close(ctx context.Context, at time.Time) error { return l.Flush(ctx, at.Add(minute)) }

// admit reports whether a try has an entry of its own, and returns the entry about the rest
// of a minute that is over.
func (s *strangers) admit(act webjob.Act) (told *webjob.Act, isIn bool) {
	told = s.turn(act.Time)
	from := network(act.Address)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.since, s.recorded, s.by = act.Time, 0, map[string]int{}
		s.rest = rest{Actions: map[string]int{}, Addresses: map[string]int{}}
	}
	if s.recorded < perMinute && s.by[from] < perAddress {
		s.recorded++
		s.by[from]++
		return told, true
	}
	s.rest.Tries++
	s.rest.Actions[act.Action]++ // of those who are nobody there are few
	if _, named := s.rest.Addresses[from]; !named && len(s.rest.Addresses) >= maxNamed {
		from = "others"
	}
	s.rest.Addresses[from]++
	return told, false
}

// turn ends a minute that is over, and returns the entry about its rest, if there is one.
func (s *strangers) turn(at time.Time) *webjob.Act {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil || at.Sub(s.since) < minute {
		return nil
	}
	s.by = nil
	if s.rest.Tries == 0 {
		return nil
	}
	s.rest.Since, s.rest.Until = s.since, s.since.Add(minute)
	act := webjob.ServerAct(at, ActionRest, "strangers", "")
	ctx := webjob.WithAct(context.Background(), act)
	webjob.Describe(ctx, act.Target, nil, s.rest)
	act.Outcome, act.Error = webjob.ActRefused, fmt.Sprintf("%d tries of those who are not let in have no entry of their own", s.rest.Tries)
	return &act.Act
}

// network returns what counts as one address: of IPv6 a network of 64 bits, which one
// machine has whole.
func network(remote string) string {
	address, err := netip.ParseAddrPort(remote)
	if err != nil {
		return "unknown"
	}
	ip := address.Addr().Unmap()
	if ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip.WithZone(""), 64).Masked().String()
}
