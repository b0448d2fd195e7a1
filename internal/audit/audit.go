// Package audit records what actors do besides the changes of the store: reads, refused
// and failed tries, and what changes something elsewhere. Acts that change the store are
// recorded by the store, in the same transaction.
//
// Whoever looks at the same thing again and again, as a watch does, or is refused again and
// again, from the same host is recorded once in a while. Of those who are nobody here, so
// many tries a minute are recorded, and the rest is counted.
package audit

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"

	"webjob.dev/webjob"
)

const (
	// quiet is how long the same read or refusal of the same actor is not recorded again.
	quiet = 10 * time.Minute
	// maxRemembered bounds what is remembered of them; past it some are recorded twice.
	maxRemembered = 10_000
	// maxError bounds what an entry tells of an error, in bytes.
	maxError = 1000
)

// Log records acts.
type Log struct {
	store webjob.Audit

	mu       sync.Mutex
	recent   map[sighting]time.Time
	previous map[sighting]time.Time // those before, until they are quiet no more
	rotated  time.Time

	strangers strangers
}

// sighting is what is recorded once in a while.
type sighting struct {
	actor, host, action, target string // the host is that of the address: one with a stolen key shows
	outcome                     webjob.ActOutcome
}

// New returns a log in the store.
func New(store webjob.Audit) *Log {
	return &Log{store: store, recent: map[sighting]time.Time{}, previous: map[sighting]time.Time{}}
}

// Done records an act that was carried out, unless it is in the log already. One that
// changes nothing is recorded once in a while.
func (l *Log) Done(ctx context.Context, act *webjob.PendingAct, changes bool) error {
	act.Outcome = webjob.ActDone
	return l.record(ctx, act, !changes)
}

// Failed records an act that was refused or failed, once in a while, unless it is in the
// log already: then it was done, and what failed came after.
func (l *Log) Failed(ctx context.Context, act *webjob.PendingAct, err error) error {
	note(act, err)
	return l.record(ctx, act, true)
}

// note says in an act why nothing came of it. What its actor gave as the reason stays.
func note(act *webjob.PendingAct, err error) {
	act.Outcome = webjob.ActFailed
	if kind := webjob.KindOf(err); kind == webjob.Refused || kind == webjob.Unauthorized {
		act.Outcome = webjob.ActRefused
	}
	act.Before, act.After = nil, nil // nothing came of it
	act.Error = err.Error()
	if len(act.Error) > maxError {
		act.Error = strings.ToValidUTF8(act.Error[:maxError], "")
	}
}

func (l *Log) record(ctx context.Context, act *webjob.PendingAct, seldom bool) error {
	if act.Recorded() {
		return nil
	}
	seen := sighting{act.Actor, hostOf(act.Address), act.Action, act.Target, act.Outcome}
	if seldom && !l.isNew(seen, act.Time) {
		return nil
	}
	// It is the whole of this change, and goes with no other.
	if err := l.store.RecordActs(webjob.WithAct(ctx, nil), act.Act); err != nil {
		l.forget(seen)
		return err
	}
	act.Record()
	return nil
}

// hostOf returns an address without its port, which is another one with each connection.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

// isNew reports whether it was not seen for a while, and remembers it.
func (l *Log) isNew(s sighting, at time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at.Sub(l.rotated) > quiet || len(l.recent) >= maxRemembered {
		l.recent, l.previous, l.rotated = map[sighting]time.Time{}, l.recent, at
	}
	for _, known := range []map[sighting]time.Time{l.recent, l.previous} {
		if last, found := known[s]; found && at.Sub(last) < quiet {
			return false
		}
	}
	l.recent[s] = at
	return true
}

func (l *Log) forget(s sighting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.recent, s)
}
