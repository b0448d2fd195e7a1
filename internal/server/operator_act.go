package server

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/access"
	"webjob.dev/webjob/internal/audit"
)

// gate lets operators in: it finds out who asks and whether they may, and has what they do
// recorded.
type gate struct{ *Server }

// forActor lets operators in who have the right of a route, and records what they do. It
// asks the store each time, so a revocation or another role holds from the next request on.
func (s gate) forActor(line route) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		act := &webjob.PendingAct{Act: webjob.Act{
			Time: now(), Address: r.RemoteAddr, Action: line.action, Target: targetOf(r), Outcome: webjob.ActDone,
		}}
		r = r.WithContext(webjob.WithAct(r.Context(), act))
		actor, err := s.admit(r, act)
		if err != nil {
			s.record.stranger(r.Context(), act, err)
			return err
		}
		answer := &recordedAnswer{ResponseWriter: w, record: func() error { return s.record.Done(r.Context(), act, line.changes) }}
		if err := s.carryOut(answer, r, line, act, actor); err != nil {
			s.record.failed(r.Context(), act, err)
			return err
		}
		return answer.end()
	}
}

// admit finds out who asks, and whether it is let in.
func (s gate) admit(r *http.Request, act *webjob.PendingAct) (*access.Actor, error) {
	holder, key, err := authenticate(r, webjob.RoleOperator)
	if err != nil {
		return nil, err
	}
	act.Actor, act.Key, act.Certificate = holder.Name, key.Short(), r.TLS.PeerCertificates[0].SerialNumber.Text(16)
	s.operators.Identify(r.Context(), holder.Name)
	operator, err := s.identity.Operator(r.Context(), holder.Name, key)
	if err != nil {
		return nil, err
	}
	act.Judged = &operator
	if err := s.operators.Admit(r.Context(), operator.Name); err != nil {
		return nil, err
	}
	return access.For(operator)
}

// carryOut asks whether the actor may, and does it.
func (s gate) carryOut(w http.ResponseWriter, r *http.Request, line route, act *webjob.PendingAct, actor *access.Actor) error {
	if line.changes {
		var err error
		if act.Reason, err = reasonIn(r); err != nil {
			return err
		}
	}
	may := actor.MayEverywhere
	if line.on == some {
		may = actor.May
	}
	if err := may(line.right); err != nil {
		if line.about != nil {
			line.about(r)
		}
		return err
	}
	return line.handle(w, r, actor)
}

// reasonIn returns why somebody does something.
func reasonIn(r *http.Request) (string, error) {
	return api.DecodeReason(r.Header.Get(api.HeaderReason))
}

// record is the audit log of what is not a part of a change: what it cannot record, the
// server's own log tells.
type record struct {
	*audit.Log
	log *slog.Logger
}

// stranger records what somebody tried who is not let in. Who has shown neither a
// certificate of an operator nor a token is not an actor: the access line tells of it.
func (l record) stranger(ctx context.Context, act *webjob.PendingAct, err error) {
	if act.Actor != "" {
		l.missing(act, l.Stranger(ctx, act, err))
	}
}

// failed records what somebody tried in vain.
func (l record) failed(ctx context.Context, act *webjob.PendingAct, err error) {
	l.missing(act, l.Failed(ctx, act, err))
}

// done records a change that is not one of the store.
func (l record) done(ctx context.Context, act *webjob.PendingAct) {
	l.missing(act, l.Done(ctx, act, true))
}

func (l record) missing(act *webjob.PendingAct, err error) {
	if err != nil {
		l.log.Error("an act is not in the audit log", "actor", act.Actor, "action", act.Action, "target", act.Target, "error", err)
	}
}

// tryOf returns a request of somebody who is nobody yet, with its act.
func tryOf(r *http.Request, action string) (*http.Request, *webjob.PendingAct) {
	act := &webjob.PendingAct{Act: webjob.Act{Time: now(), Address: r.RemoteAddr, Action: action, Outcome: webjob.ActDone}}
	return r.WithContext(webjob.WithAct(r.Context(), act)), act
}

// targetOf returns what a request is about by its path, until its handler knows better.
func targetOf(r *http.Request) string {
	for _, name := range []string{"id", "name", "run", "digest"} {
		if value := r.PathValue(name); value != "" {
			return bounded(value)
		}
	}
	return ""
}

// bounded keeps what a peer wrote short enough for the log.
func bounded(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), 200)], "")
}

// because returns the reason that an actor gives: in the header or, as programs of before
// do, in the body.
func because(ctx context.Context, inBody string) (reason string, err error) {
	act := webjob.ActOf(ctx)
	if act.Reason == "" {
		if err := webjob.CheckReason(inBody); err != nil {
			return "", err
		}
		act.Reason = inBody
	}
	return act.Reason, nil
}

// doneBy returns what is kept with what somebody did, such as "stopped by paul: wrong day".
func doneBy(what string, a *access.Actor, reason string) string {
	text := what + " by " + a.Name
	if reason != "" {
		text += ": " + reason
	}
	return text
}

// recordedAnswer is an answer that leaves only after its act is in the audit log.
type recordedAnswer struct {
	http.ResponseWriter
	record func() error
	begun  bool
	failed error // why the act is not in the log, and nothing leaves
}

// Unwrap lets [http.ResponseController] reach the connection.
func (a *recordedAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *recordedAnswer) begin() {
	if !a.begun {
		a.begun, a.failed = true, a.record()
	}
}

func (a *recordedAnswer) WriteHeader(status int) {
	if status < http.StatusBadRequest {
		a.begin()
	}
	if a.failed == nil {
		a.ResponseWriter.WriteHeader(status)
	}
}

func (a *recordedAnswer) Write(p []byte) (int, error) {
	if !a.begun {
		a.WriteHeader(http.StatusOK)
	}
	if a.failed != nil {
		return 0, a.failed
	}
	return a.ResponseWriter.Write(p)
}

// end records the act of an answer that said nothing, and returns why nothing left.
func (a *recordedAnswer) end() error {
	a.begin()
	if a.failed == nil {
		return nil
	}
	clear(a.Header()) // of the answer that did not leave
	return webjob.Errorf(webjob.KindOf(a.failed), "the answer is held back, because the audit log cannot be written: %w", a.failed)
}
