package webjob

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"time"
)

// Act is what an actor did, or tried: one entry of the audit log.
type Act struct {
	Time    time.Time       `json:"time"`
	Actor   string          `json:"actor"`             // operator, or ServerActor
	Address string          `json:"address,omitempty"` // where the request came from
	Action  string          `json:"action"`            // such as "client.revoke"
	Target  string          `json:"target,omitempty"`  // such as a client id
	Outcome ActOutcome      `json:"outcome"`
	Reason  string          `json:"reason,omitempty"` // why, in the actor's words, or why it was refused
	Before  json.RawMessage `json:"before,omitempty"`
	After   json.RawMessage `json:"after,omitempty"`
}

// PendingAct is an act under way. It travels in the context of a request, and the store
// writes it in the transaction of the first change that the request makes, so that no
// change of an operator is stored without it. Its fields are filled in before.
type PendingAct struct {
	Act

	// Judged is the operator that was found to have the right; nil for who is none yet. When
	// it is revoked by the time of the change, or has another key or other grants, the change
	// is Refused: its request may have been under way for long.
	Judged *Operator

	recorded atomic.Bool
}

// ActOutcome says what came of an act.
type ActOutcome string

// The outcomes of an act.
const (
	ActDone    ActOutcome = "done"
	ActRefused ActOutcome = "refused" // rights or verification said no
	ActFailed  ActOutcome = "failed"
)

// ServerActor acts when nobody asked: the server by itself.
const ServerActor = "server"

type actKey struct{}

// WithAct returns a context in which an act is done.
func WithAct(ctx context.Context, a *PendingAct) context.Context {
	return context.WithValue(ctx, actKey{}, a)
}

// ActOf returns the act of a context, nil for none.
func ActOf(ctx context.Context) *PendingAct {
	a, _ := ctx.Value(actKey{}).(*PendingAct)
	return a
}

// maxActDetail bounds what an entry says of the state before and after.
const maxActDetail = 16 << 10

// Describe says what the act of a context is about, before the change is made: its target,
// and what is so before and after, as JSON; nil leaves one out. Without an act it does
// nothing.
func Describe(ctx context.Context, target string, before, after any) {
	a := ActOf(ctx)
	if a == nil || a.Recorded() {
		return
	}
	a.Target, a.Before, a.After = target, detail(before), detail(after)
}

// detail encodes v; of what is too large it keeps the size and the digest.
func detail(v any) json.RawMessage {
	if v == nil {
		return nil
	}
	text, err := json.Marshal(v)
	if err == nil && len(text) > maxActDetail {
		text, err = json.Marshal(map[string]any{"bytes": len(text), "digest": DigestOf(text)})
	}
	if err != nil {
		text, _ = json.Marshal(map[string]string{"error": err.Error()}) // a map of texts can always be encoded
	}
	return text
}

// Record marks the act as written to the log. It reports whether it was not before.
func (a *PendingAct) Record() bool { return !a.recorded.Swap(true) }

// Unrecord takes Record back: the transaction failed.
func (a *PendingAct) Unrecord() { a.recorded.Store(false) }

// Recorded reports whether the act is in the log.
func (a *PendingAct) Recorded() bool { return a.recorded.Load() }

// AuditEntry is an act in the log. Text is its exact JSON, which names the hash of the
// entry before; Hash is the digest of Text. So whoever knows one hash can tell whether
// anything before it was changed.
type AuditEntry struct {
	Sequence int64           `json:"sequence"`
	Hash     Digest          `json:"hash"`
	Text     json.RawMessage `json:"entry"`
}

// AuditText is what AuditEntry.Text holds.
type AuditText struct {
	Sequence int64  `json:"sequence"`
	Previous Digest `json:"previous"` // hash of the entry before; EmptyDigest for the first
	Act
}

// SealAct makes the entry that follows one of the hash previous with the sequence before
// it. The first entry follows EmptyDigest and 0.
func SealAct(a Act, sequence int64, previous Digest) (AuditEntry, error) {
	text, err := json.Marshal(AuditText{Sequence: sequence + 1, Previous: previous, Act: a})
	if err != nil {
		return AuditEntry{}, err
	}
	return AuditEntry{Sequence: sequence + 1, Hash: DigestOf(text), Text: text}, nil
}

// CheckAfter reports whether the entry is whole and follows one of that sequence and
// hash.
func (e AuditEntry) CheckAfter(sequence int64, previous Digest) (Act, error) {
	var text AuditText
	if got := DigestOf(e.Text); got != e.Hash {
		return Act{}, Errorf(Refused, "audit entry %d was changed: its text has the hash %s and the log says %s", e.Sequence, got.Short(), e.Hash.Short())
	}
	if err := json.Unmarshal(e.Text, &text); err != nil {
		return Act{}, Errorf(Refused, "audit entry %d is not readable: %w", e.Sequence, err)
	}
	if text.Sequence != e.Sequence || e.Sequence != sequence+1 {
		return Act{}, Errorf(Refused, "audit entry %d does not follow entry %d: some are missing, or were put elsewhere", e.Sequence, sequence)
	}
	if text.Previous != previous {
		return Act{}, Errorf(Refused, "audit entry %d names %s as the one before, which is %s", e.Sequence, text.Previous.Short(), previous.Short())
	}
	return text.Act, nil
}
