package webjob

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// Act is what an actor did, or tried: one entry of the audit log.
type Act struct {
	Time    time.Time `json:"time"`
	Actor   string    `json:"actor"`             // operator, ServerActor, or see [ClientActor] and [TokenActor]
	Address string    `json:"address,omitempty"` // where the request came from
	// Key and Certificate tell copies of one operator's folder apart: the short digest of the
	// key that the actor showed, and the serial number of the certificate, in hexadecimal.
	Key         string     `json:"key,omitempty"`
	Certificate string     `json:"certificate,omitempty"`
	User        string     `json:"user,omitempty"`   // of the operating system, who ran a command on the server's machine
	Action      string     `json:"action"`           // such as "client.revoke"
	Target      string     `json:"target,omitempty"` // such as a client id
	Outcome     ActOutcome `json:"outcome"`
	Reason      string     `json:"reason,omitempty"` // why, in the actor's words; before Error was, also why it was refused
	Error       string     `json:"error,omitempty"`  // why it was refused or failed
	// Tokens are the ids of those that became useless by it, beside its target; see [maxActTokens].
	Tokens []string        `json:"tokens,omitempty"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// ClientActor and TokenActor return the actor that a client is, and whoever holds a token
// and is nobody yet. No operator has such a name.
func ClientActor(id string) string { return "client:" + id }

// TokenActor returns the actor who holds a token with the id.
func TokenActor(id string) string { return "token:" + id }

// ServerAct returns an act of the server by itself.
func ServerAct(at time.Time, action, target, reason string) *PendingAct {
	return &PendingAct{Act: Act{Time: at, Actor: ServerActor, Action: action, Target: target, Outcome: ActDone, Reason: reason}}
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

// Bounds of an entry.
const (
	MaxReason    = 500      // characters of what an actor says
	maxActDetail = 16 << 10 // bytes of the state before, and after
	maxActTokens = 100      // tokens; of more it has how many
)

// CheckReason accepts what an actor says of why: one line, or nothing.
func CheckReason(reason string) error { return CheckLine("reason", reason, MaxReason) }

// WithTokens returns the act with the tokens that became useless by it.
func (a Act) WithTokens(ids []string) Act {
	if len(ids) > maxActTokens {
		ids = append(slices.Clone(ids[:maxActTokens]), fmt.Sprintf("and %d more", len(ids)-maxActTokens))
	}
	a.Tokens = ids
	return a
}

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

// DescribeAs is Describe for a request that can be more than one action.
func DescribeAs(ctx context.Context, action, target string, before, after any) {
	if a := ActOf(ctx); a != nil && !a.Recorded() {
		a.Action = action
	}
	Describe(ctx, target, before, after)
}

// About names what the act of a context is about, before it is known whether it can be done.
func About(ctx context.Context, target string) { Describe(ctx, target, nil, nil) }

// DescribeMore adds a member to what is so after the act of a context, once it is known.
func DescribeMore(ctx context.Context, name string, value any) {
	a := ActOf(ctx)
	if a == nil || a.Recorded() {
		return
	}
	members := map[string]any{}
	if a.After != nil && json.Unmarshal(a.After, &members) != nil {
		return // it is no object
	}
	members[name] = value
	a.After = detail(members)
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
