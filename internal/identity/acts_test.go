package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/wire"
)

// lines returns the log, an entry a line.
func (w *world) lines() (lines []string) {
	w.t.Helper()
	entries, err := w.store.ListActs(w.t.Context(), webjob.ActFilter{Page: webjob.Page{Limit: 100}})
	must(w.t, err)
	for _, e := range entries {
		var a webjob.AuditText
		must(w.t, json.Unmarshal(e.Text, &a))
		lines = append(lines, fmt.Sprintf("%s %s %s %s %s %s > %s", a.Actor, a.Action, a.Target, a.Key, a.Reason, a.Before, a.After))
	}
	return lines
}

// in returns a context with an act of nobody yet.
func in(ctx context.Context, action string) context.Context {
	return webjob.WithAct(ctx, &webjob.PendingAct{Act: webjob.Act{Time: now(), Action: action, Outcome: webjob.ActDone}})
}

// What clients do to be let in, and what the server does about them by itself, is in the
// log: once, however often it is asked for.
func TestActsOfClients(t *testing.T) {
	w := newWorld(t)
	w.SuspendClones = true
	secret := w.token(t.Context(), api.NewTokenRequest{Role: webjob.RoleClient, Labels: webjob.Labels{"env": "prod"}})
	k := key(t)
	_, err := w.Enroll(in(t.Context(), "client.enroll"), request(t, secret, "web1", k), address)
	must(t, err)
	renewal := wire.RenewRequest{ID: "web1", CertificateRequest: request(t, nil, "web1", k).CertificateRequest}
	newest := func(string) error { return nil }
	for range 3 {
		_, _, err = w.RenewExpired(in(t.Context(), "client.ask"), renewal, address, newest)
		wantKind(t, err, webjob.Refused, "webjobctl client approve web1")
	}
	must(t, w.Approve(t.Context(), "web1"))
	_, _, err = w.RenewExpired(in(t.Context(), "client.ask"), renewal, address, newest)
	must(t, err)
	for range 3 {
		w.Cloned(t.Context(), webjob.Clone{Client: "web1", Reason: "two tickets", Address: "a:1", OtherAddress: "b:2"})
	}
	digest := digest(k)
	want := []string{
		fmt.Sprintf(`client:web1 client.enroll web1 %s   > {"comes_back":false,"key":"%s","labels":{"env":"prod"},"platform":"linux/amd64","token":"%s"}`, digest.Short(), digest, webjob.DigestOf(secret).Short()),
		fmt.Sprintf(`client:web1 client.ask web1 %s   > {"asks":"to return"}`, digest.Short()),
		fmt.Sprintf(`client:web1 client.return web1 %s  {"may_return_until":`, digest.Short()),
		`server client.clone web1   {"state":"enrolled"} > {"client":"web1","reason":"two tickets","address":"a:1"`,
		`server client.suspend web1  two holders of one identity: a:1 and b:2 {"state":"enrolled"} > {"state":"suspended"}`,
	}
	got := w.lines()
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Who fails to become somebody is nobody but the holder of a token, with the key it showed.
func TestFailedTriesAreOfTheToken(t *testing.T) {
	w := newWorld(t)
	w.login(w.token(t.Context(), api.NewTokenRequest{Role: webjob.RoleOperator, Grants: []webjob.Grant{admin}}), "olga")
	w.enrol(w.token(t.Context(), api.NewTokenRequest{Role: webjob.RoleClient}), "web1")
	forOperator := w.token(t.Context(), api.NewTokenRequest{Role: webjob.RoleOperator, Grants: []webjob.Grant{admin}})
	forClient := w.token(t.Context(), api.NewTokenRequest{Role: webjob.RoleClient})
	for name, c := range map[string]struct {
		secret []byte
		do     func(context.Context, wire.EnrollRequest, string) (wire.EnrollResponse, error)
		who    string
		kind   webjob.Kind
	}{
		"a taken operator": {forOperator, w.Login, "olga", webjob.Conflict},
		"a taken client":   {forClient, w.Enroll, "web1", webjob.Conflict},
		"a wrong kind":     {forClient, w.Login, "eve", webjob.Refused},
		"an unknown token": {[]byte("guess"), w.Enroll, "web2", webjob.Refused},
	} {
		ctx := in(t.Context(), "x.y")
		_, err := c.do(ctx, request(t, c.secret, c.who, key(t)), address)
		wantKind(t, err, c.kind, "")
		act := webjob.ActOf(ctx)
		if act.Recorded() || act.Actor != webjob.TokenActor(webjob.DigestOf(c.secret).Short()) || act.Target != c.who || act.Key != "" {
			t.Errorf("%s: %+v", name, act.Act)
		}
	}
}

// A token by name is made to let that one in: the act is called what is done by it.
func TestTokensAreWhatTheyAreFor(t *testing.T) {
	for _, c := range []struct {
		token          webjob.Token
		action, target string
	}{
		{webjob.Token{ID: "0123", Role: webjob.RoleClient}, "token.new", "0123"},
		{webjob.Token{ID: "0123", Role: webjob.RoleOperator, Grants: []webjob.Grant{admin}}, "token.new", "0123"},
		{webjob.Token{Role: webjob.RoleOperator, Name: "paul", Grants: []webjob.Grant{admin}}, "operator.add", "paul"},
		{webjob.Token{Role: webjob.RoleOperator, Name: "paul"}, "operator.renew", "paul"},
		{webjob.Token{Role: webjob.RoleClient, Name: "web1"}, "client.readmit", "web1"},
	} {
		if action, target := TokenAction(c.token); action != c.action || target != c.target {
			t.Errorf("%+v is %s of %s", c.token, action, target)
		}
	}
	ctx := in(t.Context(), "token.new")
	DescribeToken(ctx, api.NewTokenRequest{Role: webjob.RoleOperator, Name: "../../" + strings.Repeat("long", 1000)})
	if act := webjob.ActOf(ctx); len(act.Target) > 100 {
		t.Errorf("a name of a request is taken as it is: %.100q", act.Target)
	}
}
