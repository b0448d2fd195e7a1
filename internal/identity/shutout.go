package identity

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"webjob.dev/webjob"
)

// cut ends the connections of one who is shut out. Who shuts itself out gets its answer:
// the next request is refused.
func (r *Room) cut(ctx context.Context, role webjob.Role, name string) {
	if role == webjob.RoleClient {
		r.CutClient(name)
		return
	}
	if act := webjob.ActOf(ctx); act == nil || act.Actor != name {
		r.CutOperator(name)
	}
}

// Revoke shuts a client out for good: until it comes back with a new key.
func (r *Room) Revoke(ctx context.Context, id, reason string) error {
	if err := r.describeClient(ctx, id, "revoked"); err != nil {
		return err
	}
	if err := r.Store.RevokeClient(ctx, id, reason, now()); err != nil {
		return err
	}
	r.CutClient(id)
	return r.Revocations.Renew(ctx)
}

// Suspend shuts a client out for now.
func (r *Room) Suspend(ctx context.Context, id, reason string) error {
	if err := r.describeClient(ctx, id, "suspended"); err != nil {
		return err
	}
	if err := r.Store.SuspendClient(ctx, id, reason, now()); err != nil {
		return err
	}
	r.CutClient(id)
	return nil
}

// Readmit ends a suspension, and whatever showed that an identity was copied: an operator
// has looked into it.
func (r *Room) Readmit(ctx context.Context, id string) error {
	c, err := r.Store.Client(ctx, id)
	if err != nil {
		return err
	}
	if c.Revoked() {
		return webjob.Errorf(webjob.Conflict, "client %s is revoked, which is not undone; it can come back with a new key: webjobctl client readmit %s --new-key", id, id)
	}
	if err := r.describeClient(ctx, id, "enrolled"); err != nil {
		return err
	}
	if err := r.Store.SuspendClient(ctx, id, "", time.Time{}); err != nil {
		return err
	}
	if err := r.Store.ForgetClone(ctx, id); err != nil {
		return err
	}
	return r.ForgetTickets(ctx, id)
}

func (r *Room) describeClient(ctx context.Context, id, after string) error {
	c, err := r.Store.Client(ctx, id)
	if err != nil {
		return err
	}
	before := map[string]any{"state": stateOf(c)}
	if c.Reason != "" {
		before["reason"] = c.Reason
	}
	webjob.Describe(ctx, id, before, map[string]any{"state": after})
	return nil
}

func stateOf(c webjob.Client) string {
	switch {
	case c.Revoked():
		return "revoked"
	case !c.SuspendedAt.IsZero():
		return "suspended"
	}
	return "enrolled"
}

func operatorState(o webjob.Operator) string {
	if o.Revoked() {
		return "revoked"
	}
	return "active"
}

// RevokeOperator shuts an operator out, and makes the tokens that it made useless.
func (r *Room) RevokeOperator(ctx context.Context, name, reason string) error {
	o, err := r.Store.Operator(ctx, name)
	if err != nil {
		return err
	}
	webjob.Describe(ctx, name, map[string]any{"state": operatorState(o), "grants": o.Grants}, map[string]any{"state": "revoked"})
	if err := r.Store.RevokeOperator(ctx, name, reason, now()); err != nil {
		return err
	}
	r.cut(ctx, webjob.RoleOperator, name)
	return r.Revocations.Renew(ctx)
}

// SetRoles gives an operator other roles.
func (r *Room) SetRoles(ctx context.Context, name string, grants []webjob.Grant) error {
	if err := webjob.CheckGrants(grants); err != nil {
		return err
	}
	o, err := r.Store.Operator(ctx, name)
	if err != nil {
		return err
	}
	webjob.Describe(ctx, name, map[string]any{"grants": o.Grants}, map[string]any{"grants": grants})
	if err := r.Store.ChangeOperator(ctx, name, o.Grants, grants, now()); err != nil {
		return err
	}
	if !slices.Equal(o.Grants, grants) {
		r.cut(ctx, webjob.RoleOperator, name) // what is under way began with the roles of before
	}
	return nil
}

// Cloned tells operators and triggers of two holders of one identity and, when the
// settings say so, shuts them both out.
func (r *Room) Cloned(ctx context.Context, clone webjob.Clone) {
	r.Log.Error("two holders of one client identity, or a restored one", "client", clone.Client, "reason", clone.Reason,
		slog.String("address", clone.Address), slog.Time("at", clone.At), slog.String("other_address", clone.OtherAddress), slog.Time("other_at", clone.OtherAt))
	client, err := r.Store.Client(ctx, clone.Client)
	if err != nil {
		r.Log.Error("a clone could not be told", "client", clone.Client, "error", err)
		return
	}
	err = r.Store.AddClone(r.cloneAct(ctx, client, clone), clone, r.ClonedNews(client, clone))
	if err == nil {
		r.Wake()
	}
	if r.SuspendClones { // even when the news could not be kept
		err = errors.Join(err, r.suspendClone(ctx, client, clone))
	}
	if err != nil {
		r.Log.Error("not all was done about two holders of one identity", "client", clone.Client, "error", err)
	}
}

// cloneAct returns a context with the act of an alarm. It is the first one since the client
// was readmitted: who holds an identity could fill the audit log with more.
func (r *Room) cloneAct(ctx context.Context, client webjob.Client, clone webjob.Clone) context.Context {
	if client.Clone != nil {
		return ctx
	}
	ctx = webjob.WithAct(ctx, webjob.ServerAct(now(), "client.clone", client.ID, ""))
	webjob.Describe(ctx, client.ID, map[string]any{"state": stateOf(client)}, clone)
	return ctx
}

// suspendClone shuts out who holds an identity that another one holds, too.
func (r *Room) suspendClone(ctx context.Context, client webjob.Client, clone webjob.Clone) error {
	reason := "two holders of one identity: " + clone.Address + " and " + clone.OtherAddress
	if client.SuspendedAt.IsZero() {
		ctx = webjob.WithAct(ctx, webjob.ServerAct(now(), "client.suspend", client.ID, reason))
		webjob.Describe(ctx, client.ID, map[string]any{"state": stateOf(client)}, map[string]any{"state": "suspended"})
	}
	err := r.Store.SuspendClient(ctx, client.ID, reason, now())
	r.CutClient(client.ID)
	return err
}
