package server

import (
	"context"
	"errors"
	"net"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/identity"
	"webjob.dev/webjob/internal/trust"
)

// operatorTokenLifetime is how long a token is good for that is made on the server's own
// machine.
const operatorTokenLifetime = 24 * time.Hour

// AdmitOperator makes a token on the server's own machine, when no admin can log in any
// more: for an admin that comes back under its own name, or for a new one. The server must
// be stopped. It reports whether that ended a login that worked.
func AdmitOperator(ctx context.Context, settings *Settings, name, reason string, open OpenBackends) (token trust.Token, ended bool, err error) {
	if err := webjob.CheckOperatorName(name); err != nil {
		return token, false, err
	}
	if err := webjob.CheckReason(reason); err != nil {
		return token, false, err
	}
	err = withFolder(settings, func() error {
		authority, err := settings.identityFolder().Load()
		if err != nil {
			return err
		}
		backends, err := open(ctx, settings.path(metadataFile), settings.path(blobsFolder))
		if err != nil {
			return err
		}
		token, ended, err = admitOperator(ctx, settings, authority, backends.Store, name, reason)
		return errors.Join(err, backends.Store.Close())
	})
	return token, ended, err
}

func admitOperator(ctx context.Context, settings *Settings, authority *trust.Authority, store webjob.Store, name, reason string) (token trust.Token, ended bool, err error) {
	kept := webjob.Token{Name: name}
	o, err := store.Operator(ctx, name)
	switch {
	case webjob.KindOf(err) == webjob.NotFound && name != webjob.ServerActor:
		kept.Grants = []webjob.Grant{{Role: webjob.Admin}}
	case err != nil:
		return token, false, err
	case !webjob.AdministersAll(o.Grants):
		return token, false, webjob.Errorf(webjob.Conflict, "operator %s is no admin of all clients (%s); name one who is, or a new name", name, webjob.GrantsText(o.Grants))
	}
	ended = kept.Readmits() && !o.Revoked() && now().Before(o.Expires)
	token, err = operatorToken(ctx, settings, authority, store, kept, reason)
	return token, ended, err
}

// operatorToken completes and stores a token that the server itself makes.
func operatorToken(ctx context.Context, settings *Settings, authority *trust.Authority, store webjob.Store, kept webjob.Token, reason string) (trust.Token, error) {
	host, port, err := net.SplitHostPort(settings.Operator.Listen)
	if err != nil {
		return trust.Token{}, err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = settings.Names[0]
	}
	token, err := trust.NewToken("https://"+net.JoinHostPort(host, port), webjob.DigestOf(authority.Certificate.Raw), webjob.EmptyDigest, nil)
	if err != nil {
		return trust.Token{}, err
	}
	at := now()
	kept.Secret, kept.Role, kept.Uses, kept.Total = token.SecretDigest(), webjob.RoleOperator, 1, 1
	kept.ID, kept.MadeBy, kept.MadeAt, kept.Expires = kept.Secret.Short(), webjob.ServerActor, at, at.Add(operatorTokenLifetime)
	action, target := identity.TokenAction(kept)
	ctx = here(ctx, action, target, reason)
	webjob.Describe(ctx, target, nil, map[string]any{"token": kept})
	return token, store.AddToken(ctx, kept)
}
