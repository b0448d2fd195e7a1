package identity

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
)

// NewToken registers a one-time token of which the caller keeps the secret. When it is one
// for a client or operator that comes back, what that one had ends at once.
func (r *Room) NewToken(ctx context.Context, request api.NewTokenRequest, by string) (webjob.Token, error) {
	secret, err := webjob.ParseDigest(string(request.Secret))
	if err != nil {
		return webjob.Token{}, err
	}
	at := now()
	token := webjob.Token{
		ID: secret.Short(), Secret: secret, Role: request.Role, Name: request.Name, Labels: request.Labels, Grants: request.Grants,
		Uses: request.Uses, Total: request.Uses, Expires: at.Add(lifetime(request.TTLSeconds)), MadeBy: by, MadeAt: at,
	}
	if err := token.Check(at); err != nil {
		return webjob.Token{}, err
	}
	if request.Role == webjob.RoleOperator && request.Name == webjob.ServerActor {
		return webjob.Token{}, errReserved
	}
	if err := r.checkNewName(ctx, token); err != nil {
		return webjob.Token{}, err
	}
	before, err := r.keyBefore(ctx, token)
	if err != nil {
		return webjob.Token{}, err
	}
	action, target := TokenAction(token)
	webjob.DescribeAs(ctx, action, target, before, map[string]any{"token": token})
	if err := r.Store.AddToken(ctx, token); err != nil {
		return webjob.Token{}, err
	}
	if !token.Readmits() {
		return token, nil
	}
	r.cut(ctx, token.Role, token.Name)
	return token, r.Revocations.Renew(ctx)
}

// checkNewName refuses a token for a new operator whose name is taken: nobody could log in
// with it.
func (r *Room) checkNewName(ctx context.Context, token webjob.Token) error {
	if token.Role != webjob.RoleOperator || token.Name == "" || token.Readmits() {
		return nil
	}
	o, err := r.Store.Operator(ctx, token.Name)
	switch {
	case webjob.KindOf(err) == webjob.NotFound:
		return nil
	case err != nil:
		return err
	case o.Revoked():
		return webjob.Errorf(webjob.Conflict, "operator %s was here before and is revoked; let it come back, with the roles of before: webjobctl operator renew %s", o.Name, o.Name)
	}
	return webjob.Errorf(webjob.Conflict, "operator %s is there already (%s); give it other roles with webjobctl operator role %s ROLE, or a new key with webjobctl operator renew %s", o.Name, webjob.GrantsText(o.Grants), o.Name, o.Name)
}

// lifetime returns a span of so many seconds, kept within what can be judged.
func lifetime(seconds int64) time.Duration {
	most := int64(webjob.MaxTokenLifetime/time.Second) + 1
	return time.Duration(max(0, min(seconds, most))) * time.Second
}

// DescribeToken says what the act of a request for a token is, and about whom.
func DescribeToken(ctx context.Context, request api.NewTokenRequest) {
	token := webjob.Token{Role: request.Role, Name: request.Name, Grants: request.Grants}
	if secret, err := webjob.ParseDigest(string(request.Secret)); err == nil {
		token.ID = secret.Short()
	}
	if webjob.CheckClientID(token.Name) != nil {
		token.Name = ""
	}
	action, target := TokenAction(token)
	webjob.DescribeAs(ctx, action, target, nil, nil)
}

// TokenAction returns what is done by making a token: who is let in by name is let in.
func TokenAction(t webjob.Token) (action, target string) {
	switch {
	case t.Name == "":
		return "token.new", t.ID
	case t.Role == webjob.RoleOperator && t.Readmits():
		return "operator.renew", t.Name
	case t.Role == webjob.RoleOperator:
		return "operator.add", t.Name
	}
	return "client.readmit", t.Name
}

// keyBefore returns the key of one who is to come back, which ends; nil for anybody else.
func (r *Room) keyBefore(ctx context.Context, token webjob.Token) (any, error) {
	if !token.Readmits() {
		return nil, nil //nolint:nilnil // nothing was so before
	}
	if token.Role == webjob.RoleOperator {
		o, err := r.Store.Operator(ctx, token.Name)
		return map[string]any{"key": o.Key, "state": operatorState(o)}, err
	}
	c, err := r.Store.Client(ctx, token.Name)
	return map[string]any{"key": c.Key, "state": stateOf(c)}, err
}

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

// RevokeToken makes a token useless.
func (r *Room) RevokeToken(ctx context.Context, id string) (webjob.Token, error) {
	webjob.Describe(ctx, id, nil, map[string]any{"revoked": true})
	return r.Store.RevokeToken(ctx, id, now())
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
