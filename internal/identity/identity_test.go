package identity

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/store/sqlite"
	"webjob.dev/webjob/internal/store/sqlite/sqlitetest"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// world is the room with a real store and authority, and neighbours that keep what they
// are told.
type world struct {
	*Room
	t     *testing.T
	store *sqlite.Store
	calls []string
	deny  error // of the access lists
	seeds int
}

const address = "192.0.2.7:1234"

var (
	root  = []byte("root of the job repository")
	admin = webjob.Grant{Role: webjob.Admin}
)

func newWorld(t *testing.T) *world {
	t.Helper()
	store, err := sqlitetest.Open(t.Context(), filepath.Join(t.TempDir(), "meta.db"))
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	authority, err := trust.NewAuthority("test", time.Now())
	must(t, err)
	w := &world{t: t, store: store}
	tell := func(what string) func(string) { return func(name string) { w.calls = append(w.calls, what+" "+name) } }
	w.Room = New(Neighbours{
		Store: store, Authority: authority,
		Roots:         func() ([][]byte, error) { return [][]byte{root}, nil },
		AllowClient:   func(webjob.Client, string) error { return w.deny },
		AllowOperator: func(string, string) error { return w.deny },
		Enrolled: func(c webjob.Client) []webjob.Delivery {
			return []webjob.Delivery{{Trigger: "enrolled " + c.ID, NextAt: time.Now()}}
		},
		ClonedNews: func(c webjob.Client, _ webjob.Clone) []webjob.Delivery {
			return []webjob.Delivery{{Trigger: "cloned " + c.ID, NextAt: time.Now()}}
		},
		Wake: func() {}, Join: func(_ context.Context, c string) error { tell("join")(c); return nil },
		CutClient: tell("cut client"), CutOperator: tell("cut operator"), ForgetTickets: func(_ context.Context, c string) error { tell("forget tickets of")(c); return nil },
		Publish: func([]byte) error { return nil }, Log: slog.New(slog.DiscardHandler),
	})
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, kind webjob.Kind, says string) {
	t.Helper()
	if webjob.KindOf(err) != kind || err != nil && !strings.Contains(err.Error(), says) {
		t.Fatalf("error is %v (kind %q), want kind %q and %q", err, webjob.KindOf(err), kind, says)
	}
}

// token makes a token by the room and returns the secret.
func (w *world) token(ctx context.Context, request api.NewTokenRequest) []byte {
	w.t.Helper()
	w.seeds++
	secret := fmt.Appendf(nil, "secret %d", w.seeds)
	request.Secret, request.TTLSeconds = webjob.DigestOf(secret), 3600
	request.Uses = max(request.Uses, 1)
	_, err := w.Tokens.New(ctx, request, "olga")
	must(w.t, err)
	return secret
}

func (w *world) uses(secret []byte) int64 {
	token, err := w.store.Token(w.t.Context(), webjob.DigestOf(secret))
	if err != nil {
		return 0
	}
	return token.Uses
}

func key(t *testing.T) *trust.PrivateKey {
	t.Helper()
	key, err := trust.GenerateKey(trust.ECDSA)
	must(t, err)
	return key
}

func request(t *testing.T, secret []byte, name string, key *trust.PrivateKey) wire.EnrollRequest {
	t.Helper()
	csr, err := trust.CertificateRequest(key, name)
	must(t, err)
	return wire.EnrollRequest{Secret: secret, ID: name, Platform: "linux/amd64", CertificateRequest: csr, TrustRoot: webjob.DigestOf(root)}
}

// enrol makes a client and returns its key.
func (w *world) enrol(secret []byte, name string) (*trust.PrivateKey, *x509.Certificate) {
	w.t.Helper()
	k := key(w.t)
	response, err := w.Enroll(w.t.Context(), request(w.t, secret, name, k), address)
	must(w.t, err)
	certificate, err := trust.ParseCertificate([]byte(response.Certificate))
	must(w.t, err)
	return k, certificate
}

func (w *world) login(secret []byte, name string) *trust.PrivateKey {
	w.t.Helper()
	k := key(w.t)
	_, err := w.Login(w.t.Context(), request(w.t, secret, name, k), address)
	must(w.t, err)
	return k
}

func digest(k *trust.PrivateKey) webjob.Digest { return webjob.DigestOf(k.DER()) }

func TestEnrolment(t *testing.T) {
	w := newWorld(t)
	secret := w.token(t.Context(), api.NewTokenRequest{Role: webjob.RoleClient, Labels: webjob.Labels{"env": "prod"}, Uses: 2})
	forOperator := w.token(t.Context(), api.NewTokenRequest{Role: webjob.RoleOperator, Grants: []webjob.Grant{admin}})
	good := func() wire.EnrollRequest { return request(t, secret, "web1", key(t)) }
	for name, c := range map[string]struct {
		change func(*wire.EnrollRequest)
		kind   webjob.Kind
		says   string
	}{
		"bad name":           {func(r *wire.EnrollRequest) { r.ID = "../web1" }, webjob.Invalid, "client id"},
		"bad platform":       {func(r *wire.EnrollRequest) { r.Platform = "a b" }, webjob.Invalid, "platform"},
		"unknown token":      {func(r *wire.EnrollRequest) { r.Secret = []byte("guess") }, webjob.Refused, "unknown, used up or revoked"},
		"operator's token":   {func(r *wire.EnrollRequest) { r.Secret = forOperator }, webjob.Refused, "for a new operator"},
		"another repository": {func(r *wire.EnrollRequest) { r.TrustRoot = webjob.EmptyDigest }, webjob.Refused, "never had"},
		"no request":         {func(r *wire.EnrollRequest) { r.CertificateRequest = nil }, webjob.Invalid, "certificate request"},
		"another's request": {func(r *wire.EnrollRequest) {
			r.CertificateRequest[len(r.CertificateRequest)-1] ^= 1
		}, webjob.Invalid, "certificate request"},
	} {
		r := good()
		c.change(&r)
		_, err := w.Enroll(t.Context(), r, address)
		if webjob.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.deny = webjob.Errorf(webjob.Refused, "deny_addresses names it")
	_, err := w.Enroll(t.Context(), good(), address)
	wantKind(t, err, webjob.Refused, "deny_addresses")
	_, err = w.Login(t.Context(), request(t, forOperator, "olga", key(t)), address)
	wantKind(t, err, webjob.Refused, "deny_addresses")
	w.deny = nil
	if w.uses(secret) != 2 || w.uses(forOperator) != 1 || len(w.calls) != 0 {
		t.Fatalf("what was refused took something: %d and %d uses left, told %q", w.uses(secret), w.uses(forOperator), w.calls)
	}
	k, _ := w.enrol(secret, "web1")
	c, err := w.Client(t.Context(), "web1", digest(k))
	must(t, err)
	if c.Labels.String() != "env=prod" || w.uses(secret) != 1 || !slices.Contains(w.calls, "join web1") {
		t.Errorf("client %+v, %d uses left, told %q", c, w.uses(secret), w.calls)
	}
	_, err = w.Enroll(t.Context(), good(), address)
	wantKind(t, err, webjob.Conflict, "webjobctl client readmit web1 --new-key")
	if w.uses(secret) != 1 {
		t.Error("a taken name took a use")
	}
	due, err := w.store.DueDeliveries(t.Context(), "enrolled web1", time.Now().Add(time.Minute), 9)
	if err != nil || len(due) != 1 || due[0].Trigger != "enrolled web1" {
		t.Errorf("told triggers %+v, %v", due, err)
	}
}

// What messages advise brings a client back under its own name, and its old key does not
// count any more.
func TestClientComesBack(t *testing.T) {
	w := newWorld(t)
	old, certificate := w.enrol(w.token(t.Context(), api.NewTokenRequest{Role: webjob.RoleClient}), "web1")
	back := func() []byte {
		return w.token(t.Context(), api.NewTokenRequest{Role: webjob.RoleClient, Name: "web1"})
	}
	must(t, w.Revoke(t.Context(), "web1", "stolen"))
	_, err := w.Client(t.Context(), "web1", digest(old))
	wantKind(t, err, webjob.Refused, "webjobctl client readmit web1 --new-key")
	wantKind(t, w.Readmit(t.Context(), "web1"), webjob.Conflict, "webjobctl client readmit web1 --new-key")
	secret := back()
	_, err = w.Enroll(t.Context(), request(t, secret, "web2", key(t)), address)
	wantKind(t, err, webjob.Refused, "add --id web1")
	first, _ := w.enrol(secret, "web1")
	if !slices.Contains(w.calls, "forget tickets of web1") {
		t.Errorf("told %q", w.calls)
	}
	_, err = w.Client(t.Context(), "web1", digest(first))
	must(t, err)
	_, err = w.Client(t.Context(), "web1", digest(old))
	wantKind(t, err, webjob.Refused, "webjobctl client readmit web1 --new-key")
	w.revoked(certificate)

	// It need not be revoked before: the making of the token ends its key.
	w.calls = nil
	secret = back()
	_, err = w.Client(t.Context(), "web1", digest(first))
	wantKind(t, err, webjob.Refused, "revoked")
	if !slices.Contains(w.calls, "cut client web1") {
		t.Errorf("told %q", w.calls)
	}
	second, _ := w.enrol(secret, "web1")
	_, err = w.Client(t.Context(), "web1", digest(second))
	must(t, err)

	// Unknown here.
	_, err = w.Client(t.Context(), "web9", digest(old))
	wantKind(t, err, webjob.Refused, "webjobctl token new, then webjob enroll --id web9")
	w.enrol(w.token(t.Context(), api.NewTokenRequest{Role: webjob.RoleClient}), "web9")
}

// revoked checks that the list holds the certificate.
func (w *world) revoked(certificate *x509.Certificate) {
	w.t.Helper()
	der, _ := w.Revocations.List()
	list, err := x509.ParseRevocationList(der)
	must(w.t, err)
	if !slices.ContainsFunc(list.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool { return e.SerialNumber.Cmp(certificate.SerialNumber) == 0 }) {
		w.t.Errorf("the list has %d certificates, and not %s", len(list.RevokedCertificateEntries), certificate.SerialNumber)
	}
}

func TestSuspension(t *testing.T) {
	w := newWorld(t)
	k, _ := w.enrol(w.token(t.Context(), api.NewTokenRequest{Role: webjob.RoleClient}), "web1")
	must(t, w.Suspend(t.Context(), "web1", "odd"))
	_, err := w.Client(t.Context(), "web1", digest(k))
	wantKind(t, err, webjob.Refused, "webjobctl client readmit web1")
	must(t, w.Readmit(t.Context(), "web1"))
	_, err = w.Client(t.Context(), "web1", digest(k))
	must(t, err)
	w.SuspendClones = true
	w.Cloned(t.Context(), webjob.Clone{Client: "web1", Reason: "two", Address: "a", OtherAddress: "b"})
	c, err := w.store.Client(t.Context(), "web1")
	if err != nil || c.SuspendedAt.IsZero() || c.Clone == nil || !slices.Contains(w.calls, "cut client web1") {
		t.Errorf("client %+v, %v; told %q", c, err, w.calls)
	}
}

func TestClientRenewal(t *testing.T) {
	w := newWorld(t)
	k, first := w.enrol(w.token(t.Context(), api.NewTokenRequest{Role: webjob.RoleClient}), "web1")
	csr := func(k *trust.PrivateKey) wire.RenewRequest {
		return wire.RenewRequest{ID: "web1", CertificateRequest: request(t, nil, "web1", k).CertificateRequest}
	}
	stale := error(nil)
	newest := func(client string) error {
		if client != "web1" {
			t.Errorf("the tickets of %q are asked for", client)
		}
		return stale
	}
	c, err := w.Client(t.Context(), "web1", digest(k))
	must(t, err)
	_, second, err := w.Renew(t.Context(), c, csr(k), newest)
	must(t, err)
	_, _, err = w.Renew(t.Context(), c, csr(key(t)), newest)
	wantKind(t, err, webjob.Refused, "another key")
	other := csr(k)
	other.ID = "web2"
	_, _, err = w.Renew(t.Context(), c, other, newest)
	wantKind(t, err, webjob.Refused, "cannot renew")

	// Who does not have the newest ticket gets none, nor does anybody once two are known.
	stale = webjob.Errorf(webjob.Unavailable, "an old ticket")
	_, _, err = w.Renew(t.Context(), c, csr(k), newest)
	wantKind(t, err, webjob.Unavailable, "an old ticket")
	stale = nil
	w.Cloned(t.Context(), webjob.Clone{Client: "web1"})
	c, err = w.Client(t.Context(), "web1", digest(k))
	must(t, err)
	_, _, err = w.Renew(t.Context(), c, csr(k), newest)
	wantKind(t, err, webjob.Refused, "webjobctl client readmit web1")
	must(t, w.Readmit(t.Context(), "web1"))
	if !slices.Contains(w.calls, "forget tickets of web1") {
		t.Errorf("its tickets are not forgotten: %q", w.calls)
	}
	c, err = w.Client(t.Context(), "web1", digest(k))
	must(t, err)
	_, fourth, err := w.Renew(t.Context(), c, csr(k), newest)
	must(t, err)

	// After it expired, an admin decides.
	_, _, err = w.RenewExpired(t.Context(), csr(k), address, newest)
	wantKind(t, err, webjob.Refused, "webjobctl client approve web1")
	_, _, err = w.RenewExpired(t.Context(), csr(key(t)), address, newest)
	wantKind(t, err, webjob.Refused, "webjobctl client readmit web1 --new-key")
	must(t, w.Approve(t.Context(), "web1"))
	w.deny = webjob.Errorf(webjob.Refused, "deny_addresses names it")
	_, _, err = w.RenewExpired(t.Context(), csr(k), address, newest)
	wantKind(t, err, webjob.Refused, "deny_addresses")
	w.deny = nil
	stale = webjob.Errorf(webjob.Unavailable, "an old ticket")
	_, _, err = w.RenewExpired(t.Context(), csr(k), address, newest)
	wantKind(t, err, webjob.Unavailable, "an old ticket")
	stale = nil
	_, third, err := w.RenewExpired(t.Context(), csr(k), address, newest)
	must(t, err)
	wantKind(t, w.Approve(t.Context(), "web1"), webjob.Conflict, "does not ask")
	must(t, w.Revoke(t.Context(), "web1", ""))
	for _, certificate := range []*x509.Certificate{first, second, third, fourth} {
		w.revoked(certificate)
	}
	_, _, err = w.RenewExpired(t.Context(), csr(k), address, newest)
	wantKind(t, err, webjob.Refused, "webjobctl client readmit web1 --new-key")
}

// What messages advise brings an operator back, and there is always an admin.
func TestOperatorComesBack(t *testing.T) {
	w := newWorld(t)
	grants := []webjob.Grant{{Role: webjob.OrderingRole, On: "site=lab"}}
	first := w.login(w.token(t.Context(), api.NewTokenRequest{Role: webjob.RoleOperator, Grants: []webjob.Grant{admin}}), "olga")
	w.login(w.token(t.Context(), api.NewTokenRequest{Role: webjob.RoleOperator, Name: "paul", Grants: grants}), "paul")
	o, err := w.Operator(t.Context(), "olga", digest(first))
	must(t, err)
	if !slices.Equal(o.Grants, []webjob.Grant{admin}) || o.AddedBy != "olga" {
		t.Errorf("operator %+v", o)
	}
	_, err = w.Operator(t.Context(), "rosa", digest(first))
	wantKind(t, err, webjob.Refused, "webjobctl operator add rosa --role ROLE")
	wantKind(t, w.RevokeOperator(t.Context(), "olga", ""), webjob.Refused, "last admin")
	_, err = w.Login(t.Context(), request(t, w.token(t.Context(), api.NewTokenRequest{Role: webjob.RoleOperator, Grants: grants}), webjob.ServerActor, first), address)
	wantKind(t, err, webjob.Invalid, "no operator can be named server")
	wantKind(t, w.SetRoles(t.Context(), "olga", grants), webjob.Refused, "last admin")

	must(t, w.RevokeOperator(t.Context(), "paul", "lost"))
	_, err = w.Operator(t.Context(), "paul", digest(first))
	wantKind(t, err, webjob.Refused, "webjobctl operator renew paul")
	wantKind(t, w.SetRoles(t.Context(), "paul", []webjob.Grant{admin}), webjob.Conflict, "webjobctl operator renew paul")
	secret := w.token(t.Context(), api.NewTokenRequest{Role: webjob.RoleOperator, Name: "paul"})
	_, err = w.Login(t.Context(), request(t, secret, "mallory", key(t)), address)
	wantKind(t, err, webjob.Refused, "add --name paul")
	again := w.login(secret, "paul")
	o, err = w.Operator(t.Context(), "paul", digest(again))
	must(t, err)
	if !slices.Equal(o.Grants, grants) {
		t.Errorf("came back as %+v", o)
	}
	w.calls = nil
	must(t, w.SetRoles(t.Context(), "paul", []webjob.Grant{admin}))
	if !slices.Contains(w.calls, "cut operator paul") {
		t.Errorf("told %q", w.calls)
	}
	response, err := w.RenewOperator(t.Context(), o, request(t, nil, "paul", again).CertificateRequest)
	must(t, err)
	_, err = w.RenewOperator(t.Context(), o, request(t, nil, "paul", first).CertificateRequest)
	wantKind(t, err, webjob.Refused, "another key")
	must(t, w.RevokeOperator(t.Context(), "olga", "left"))
	certificate, err := trust.ParseCertificate([]byte(response.Certificate))
	must(t, err)
	wantKind(t, w.RevokeOperator(t.Context(), "paul", ""), webjob.Refused, "last admin")
	w.login(w.token(t.Context(), api.NewTokenRequest{Role: webjob.RoleOperator, Grants: []webjob.Grant{admin}}), "sven")
	must(t, w.RevokeOperator(t.Context(), "paul", ""))
	w.revoked(certificate)
}

// Each change tells its act what was so before and after.
func TestChangesDescribeTheirActs(t *testing.T) {
	w := newWorld(t)
	w.login(w.token(t.Context(), api.NewTokenRequest{Role: webjob.RoleOperator, Grants: []webjob.Grant{admin}}), "olga")
	w.login(w.token(t.Context(), api.NewTokenRequest{Role: webjob.RoleOperator, Grants: []webjob.Grant{admin}}), "paul")
	w.enrol(w.token(t.Context(), api.NewTokenRequest{Role: webjob.RoleClient}), "web1")
	for _, change := range []struct {
		action string
		do     func(context.Context) error
		target string
		after  string
	}{
		{"client.suspend", func(ctx context.Context) error { return w.Suspend(ctx, "web1", "") }, "web1", `{"state":"suspended"}`},
		{"operator.role", func(ctx context.Context) error { return w.SetRoles(ctx, "paul", []webjob.Grant{{Role: "viewer"}}) }, "paul", `{"grants":[{"role":"viewer"}]}`},
		{"operator.revoke", func(ctx context.Context) error { return w.RevokeOperator(ctx, "paul", "") }, "paul", `{"state":"revoked"}`},
		{"operator.login", func(ctx context.Context) error {
			_, err := w.Login(ctx, request(t, w.token(t.Context(), api.NewTokenRequest{Role: webjob.RoleOperator, Grants: []webjob.Grant{admin}}), "rosa", key(t)), address)
			return err
		}, "rosa", ""},
	} {
		act := &webjob.PendingAct{Act: webjob.Act{Time: now(), Actor: "olga", Action: change.action, Outcome: webjob.ActDone}}
		must(t, change.do(webjob.WithAct(t.Context(), act)))
		entries, err := w.store.ListActs(t.Context(), webjob.ActFilter{Action: change.action, Page: webjob.Page{Limit: 9}})
		must(t, err)
		if len(entries) != 1 {
			t.Fatalf("%s: %d entries", change.action, len(entries))
		}
		var text webjob.AuditText
		must(t, json.Unmarshal(entries[0].Text, &text))
		if text.Target != change.target || change.after != "" && string(text.After) != change.after {
			t.Errorf("%s: %s", change.action, entries[0].Text)
		}
		if change.action == "operator.login" && text.Actor != "rosa" {
			t.Errorf("a login is its own act, and not of %s", text.Actor)
		}
	}
}
