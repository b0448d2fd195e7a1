package identity

import (
	"context"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
)

// Tokens makes the tokens with which clients and operators are let in.
type Tokens struct{ room *Room }

// New registers a one-time token of which the caller keeps the secret. When it is one
// for a client or operator that comes back, what that one had ends at once.
func (t Tokens) New(ctx context.Context, request api.NewTokenRequest, by string) (webjob.Token, error) {
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
	if err := t.checkNewName(ctx, token); err != nil {
		return webjob.Token{}, err
	}
	before, err := t.keyBefore(ctx, token)
	if err != nil {
		return webjob.Token{}, err
	}
	action, target := TokenAction(token)
	webjob.DescribeAs(ctx, action, target, before, map[string]any{"token": token})
	if err := t.room.Store.AddToken(ctx, token); err != nil {
		return webjob.Token{}, err
	}
	if !token.Readmits() {
		return token, nil
	}
	t.room.cut(ctx, token.Role, token.Name)
	return token, t.room.Revocations.Renew(ctx)
}

// checkNewName refuses a token for a new operator whose name is taken: nobody could log in
// with it.
func (t Tokens) checkNewName(ctx context.Context, token webjob.Token) error {
	if token.Role != webjob.RoleOperator || token.Name == "" || token.Readmits() {
		return nil
	}
	o, err := t.room.Store.Operator(ctx, token.Name)
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
func (t Tokens) keyBefore(ctx context.Context, token webjob.Token) (any, error) {
	if !token.Readmits() {
		return nil, nil //nolint:nilnil // nothing was so before
	}
	if token.Role == webjob.RoleOperator {
		o, err := t.room.Store.Operator(ctx, token.Name)
		return map[string]any{"key": o.Key, "state": operatorState(o)}, err
	}
	c, err := t.room.Store.Client(ctx, token.Name)
	return map[string]any{"key": c.Key, "state": stateOf(c)}, err
}

// Revoke makes a token useless.
func (t Tokens) Revoke(ctx context.Context, id string) (webjob.Token, error) {
	webjob.Describe(ctx, id, nil, map[string]any{"revoked": true})
	return t.room.Store.RevokeToken(ctx, id, now())
}
