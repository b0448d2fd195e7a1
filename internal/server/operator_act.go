package server

import (
	"context"
	"net/http"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/access"
)

// forActor lets operators in who have the right of a route, and records what they do. It
// asks the store each time, so a revocation or another role holds from the next request on.
func (s *Server) forActor(line route) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		act := &webjob.PendingAct{Act: webjob.Act{
			Time: now(), Address: r.RemoteAddr, Action: line.action, Target: targetOf(r), Outcome: webjob.ActDone,
		}}
		r = r.WithContext(webjob.WithAct(r.Context(), act))
		answer := &recordedAnswer{ResponseWriter: w, record: func() error { return s.audit.Done(r.Context(), act, line.changes) }}
		err := s.carryOut(answer, r, line, act)
		if err == nil {
			return answer.end()
		}
		s.recordFailure(r.Context(), act, err)
		return err
	}
}

// carryOut finds out who asks, asks whether it may, and does it.
func (s *Server) carryOut(w http.ResponseWriter, r *http.Request, line route, act *webjob.PendingAct) error {
	holder, key, err := authenticate(r, webjob.RoleOperator)
	if err != nil {
		return err
	}
	act.Actor = holder.Name
	s.operators.Identify(r.Context(), holder.Name)
	operator, err := s.identity.Operator(r.Context(), holder.Name, key)
	if err != nil {
		return err
	}
	act.Judged = &operator
	if err := s.operators.Admit(r.Context(), operator.Name); err != nil {
		return err
	}
	actor, err := access.For(operator)
	if err != nil {
		return err
	}
	may := actor.MayEverywhere
	if line.on == some {
		may = actor.May
	}
	if err := may(line.right); err != nil {
		return err
	}
	return line.handle(w, r, actor)
}

// recordFailure records what was refused or failed. Who has shown no certificate of an
// operator is not an actor: the access line tells of it.
func (s *Server) recordFailure(ctx context.Context, act *webjob.PendingAct, err error) {
	if act.Actor == "" {
		return
	}
	if recordErr := s.audit.Failed(ctx, act, err); recordErr != nil {
		s.log.Error("a try is not in the audit log", "actor", act.Actor, "action", act.Action, "target", act.Target, "error", recordErr)
	}
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
func bounded(text string) string { return text[:min(len(text), 200)] }

// because notes the reason that an actor gives.
func because(ctx context.Context, reason string) error {
	if act := webjob.ActOf(ctx); act != nil {
		act.Reason = reason
	}
	return webjob.CheckLine("reason", reason, 500)
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
