package server_test

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/server"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// changeCase is a request of a route that changes something, and what its entry must say.
type changeCase struct {
	path    string
	body    any
	target  string // "" for one that is only known then
	action  string // when it is not the route's
	outcome webjob.ActOutcome
	before  string // a part; "" when there was nothing before
	after   string
	tried   string // target when somebody is refused; "" is as target
}

const why = "because of 7 % more, naïvely"

// theActs returns the entries of the log.
func (w *world) theActs() (acts []webjob.Act) {
	w.t.Helper()
	entries, err := w.backends.Store.ListActs(w.t.Context(), webjob.ActFilter{Page: webjob.Page{Limit: webjob.MaxPage}})
	must(w.t, err)
	for _, e := range entries {
		var text webjob.AuditText
		must(w.t, json.Unmarshal(e.Text, &text))
		acts = append(acts, text.Act)
	}
	return acts
}

// says makes a request with a reason.
func (w *world) says(config *tls.Config, method, path, reason string, body any) (int, string) {
	w.t.Helper()
	c := wire.NewClient(w.operator.URL, config)
	defer c.Close()
	c.Header = http.Header{api.HeaderReason: {api.EncodeReason(reason)}}
	if text, isText := body.(string); isText {
		response, err := c.Send(w.t.Context(), method, path, nil, strings.NewReader(text), int64(len(text)))
		if err == nil {
			return response.StatusCode, response.Status
		}
		return 400, err.Error()
	}
	if err := c.Call(w.t.Context(), method, path, nil, body, nil); err != nil {
		return 400, err.Error()
	}
	return 200, ""
}

// Every route that changes something leaves exactly one entry a request: who, with which
// key, from where, what, about what, what was so before and after, and why. None may be
// left out here.
func TestEveryChangeIsRecordedWhole(t *testing.T) {
	w := newWorld(t)
	w.configure("[[trigger]]\nname = \"told\"\non = [\"order_done\"]\ncommand = [\"/bin/true\", \"--password=hush\"]\n")
	olga, vera := w.operate("olga", "admin"), w.operate("vera", "viewer")
	for name, role := range map[string]string{"paul": "viewer", "rosa": "admin"} {
		w.operate(name, role)
	}
	for _, id := range []string{"web1", "web2", "web3"} {
		w.client(id)
	}
	must(t, w.backends.Store.SetLateRenewal(t.Context(), "web3", time.Now(), time.Time{}))
	token := webjob.Token{ID: "0123456789ab", Secret: webjob.DigestOf([]byte("listed")), Role: webjob.RoleClient, Uses: 1, Total: 1, Expires: time.Now().Add(time.Hour), MadeBy: "olga"}
	must(t, w.backends.Store.AddToken(t.Context(), token))
	cases := w.changes(olga)
	for _, line := range server.OperatorRoutes(w.server) {
		if !line.Changes {
			continue
		}
		prepare, found := cases[line.Pattern]
		if !found {
			t.Fatalf("%s is not tried here", line.Pattern)
		}
		method, _, _ := strings.Cut(line.Pattern, " ")
		for _, c := range prepare() {
			if c.action == "" {
				c.action = line.Action
			}
			if line.Right != webjob.MayView {
				w.checkRefused(vera, method, c)
			}
			w.checkChange(olga, method, c)
		}
	}
	for _, act := range w.theActs() {
		text, err := json.Marshal(act)
		must(t, err)
		if strings.Contains(string(text), "hush") || strings.Contains(string(text), string(token.Secret)) {
			t.Errorf("a secret is in the log: %s", text)
		}
	}
}

// checkRefused tries what a viewer may not do.
func (w *world) checkRefused(vera *tls.Config, method string, c changeCase) {
	w.t.Helper()
	known := len(w.theActs())
	w.says(vera, method, c.path, why, c.body)
	acts := w.theActs()[known:]
	if c.tried == "" {
		c.tried = c.target
	}
	if len(acts) != 1 || acts[0].Actor != "vera" || acts[0].Action != c.action || acts[0].Target != c.tried || acts[0].Outcome != webjob.ActRefused ||
		acts[0].Reason != why || !strings.Contains(acts[0].Error, "it needs the right") || acts[0].Key == "" {
		w.t.Errorf("%s %s of a viewer: %+v", method, c.path, acts)
	}
}

// checkChange makes a change and looks at its entry.
func (w *world) checkChange(olga *tls.Config, method string, c changeCase) {
	w.t.Helper()
	known := len(w.theActs())
	status, text := w.says(olga, method, c.path, why, c.body)
	if c.outcome == "" {
		c.outcome = webjob.ActDone
	}
	if (status >= 400) != (c.outcome != webjob.ActDone) {
		w.t.Fatalf("%s %s: %d %s", method, c.path, status, text)
	}
	acts := w.theActs()[known:]
	if len(acts) != 1 {
		w.t.Fatalf("%s %s leaves %d entries: %+v", method, c.path, len(acts), acts)
	}
	act, leaf := acts[0], olga.Certificates[0].Certificate[0]
	certificate, err := x509.ParseCertificate(leaf)
	must(w.t, err)
	for name, pair := range map[string][2]string{
		"actor": {act.Actor, "olga"}, "action": {act.Action, c.action}, "outcome": {string(act.Outcome), string(c.outcome)}, "reason": {act.Reason, why},
		"key": {act.Key, trust.KeyDigest(certificate).Short()}, "certificate": {act.Certificate, certificate.SerialNumber.Text(16)},
	} {
		if pair[0] != pair[1] {
			w.t.Errorf("%s %s: %s is %q, want %q", method, c.path, name, pair[0], pair[1])
		}
	}
	if act.Target == "" || c.target != "" && act.Target != c.target || !strings.HasPrefix(act.Address, "127.0.0.1:") || act.Time.IsZero() {
		w.t.Errorf("%s %s: %+v", method, c.path, act)
	}
	if c.before == "" != (act.Before == nil) || !strings.Contains(string(act.Before), c.before) || !strings.Contains(string(act.After), c.after) {
		w.t.Errorf("%s %s: before %s, want %s; after %s, want %s", method, c.path, act.Before, c.before, act.After, c.after)
	}
}

// changes returns what is tried of each route, in the order of the table.
func (w *world) changes(olga *tls.Config) map[string]func() []changeCase {
	t := w.t
	one := func(c changeCase) func() []changeCase { return func() []changeCase { return []changeCase{c} } }
	grants := []webjob.Grant{{Role: webjob.Viewer}}
	tokenFor := func(secret string, r api.NewTokenRequest) api.NewTokenRequest {
		r.Secret, r.Uses, r.TTLSeconds = webjob.DigestOf([]byte(secret)), 1, 3600
		return r
	}
	payload := w.payload("#!/bin/sh\n")
	bob, err := trust.GenerateKey(trust.Ed25519)
	must(t, err)
	order := &ordering{w: w, bob: bob}
	clientCase := func(id, action, before, after string) func() []changeCase {
		return one(changeCase{path: api.ClientPath(id, action), body: struct{}{}, target: id, before: before, after: after})
	}
	return map[string]func() []changeCase{
		"POST " + api.PathRenew: one(changeCase{path: api.PathRenew, body: api.RenewRequest{CertificateRequest: requestOf(t, olga)}, target: "olga", before: `{"expires":`, after: `{"expires":`}),
		"POST " + api.PathOperators + "/{name}/role": one(changeCase{
			path: api.OperatorPath("paul", "role"), body: api.RolesRequest{Grants: []webjob.Grant{{Role: webjob.Approver}}}, target: "paul", before: `"viewer"`, after: `"approver"`,
		}),
		"POST " + api.PathOperators + "/{name}/revoke": one(changeCase{path: api.OperatorPath("rosa", "revoke"), body: struct{}{}, target: "rosa", before: `"state":"active"`, after: `"state":"revoked"`}),
		"POST " + api.PathTokens: func() []changeCase {
			fresh := tokenFor("fresh", api.NewTokenRequest{Role: webjob.RoleClient})
			return []changeCase{
				{path: api.PathTokens, body: fresh, target: fresh.Secret.Short(), after: `"role":"client"`},
				{path: api.PathTokens, body: tokenFor("sven", api.NewTokenRequest{Role: webjob.RoleOperator, Name: "sven", Grants: grants}), target: "sven", action: "operator.add", after: `"viewer"`},
				{path: api.PathTokens, body: tokenFor("paul", api.NewTokenRequest{Role: webjob.RoleOperator, Name: "paul"}), target: "paul", action: "operator.renew", before: `"key":"sha256:`, after: `"token":{"id":"`},
				{path: api.PathTokens, body: tokenFor("web2", api.NewTokenRequest{Role: webjob.RoleClient, Name: "web2"}), target: "web2", action: "client.readmit", before: `"key":"sha256:`, after: `"token":{"id":"`},
			}
		},
		"POST " + api.PathTokens + "/{id}/revoke":   one(changeCase{path: api.TokenPath("0123456789ab", "revoke"), body: struct{}{}, target: "0123456789ab", after: `"revoked":true`}),
		"POST " + api.PathClients + "/{id}/suspend": clientCase("web1", "suspend", `"enrolled"`, `"suspended"`),
		"POST " + api.PathClients + "/{id}/readmit": clientCase("web1", "readmit", `"suspended by olga: `+why+`"`, `"enrolled"`),
		"POST " + api.PathClients + "/{id}/approve": clientCase("web3", "approve", `"asked_at"`, `"may_return_until"`),
		"POST " + api.PathClients + "/{id}/revoke":  clientCase("web3", "revoke", `"enrolled"`, `"revoked"`),
		"PUT " + api.PathOperatorBlobs + "{digest}": one(changeCase{
			path: api.OperatorBlobPath(webjob.DigestOf([]byte("uploaded"))), body: "uploaded", target: string(webjob.DigestOf([]byte("uploaded"))), after: `"bytes":8`,
		}),
		"POST " + api.PathOperatorJobs + "/{name}/withdraw": one(changeCase{path: api.OperatorJobPath("job", "withdraw"), body: struct{}{}, target: "job", outcome: webjob.ActRefused}),
		"POST " + api.PathDrafts: func() []changeCase {
			m := manifestOf("job", 1, payload)
			contents, text, err := server.Publication(m)
			must(t, err)
			d := w.draft("publish job version 1", contents)
			d.Manifests = [][]byte{text}
			must(t, server.SignDraft(w.server, d, w.key))
			return []changeCase{
				{path: api.PathDrafts, body: draftRequest(t, d), tried: d.Summary, after: fmt.Sprintf(`"publish":[{"job":"job@1","manifest":"%s","payloads":["%s"]}]`, webjob.DigestOf(text), payload.Digest)},
				{path: api.PathDrafts, body: draftRequest(t, w.draft("web1 moves", labelsOf(t, "web1", "site=lab"))), tried: "web1 moves", before: `"labels":{"web1":null}`, after: `"accepted":false`},
			}
		},
		"POST " + api.PathDrafts + "/{id}": func() []changeCase {
			d := server.Waiting(w.server)
			must(t, server.SignDraft(w.server, d, w.key))
			return []changeCase{{path: api.DraftPath(d.ID), body: draftRequest(t, d), target: d.ID, before: `"labels":{"web1":null}`, after: `"accepted":true,"signed_by":["alice (`}}
		},
		"DELETE " + api.PathDrafts + "/{id}": func() []changeCase {
			w.says(olga, http.MethodPost, api.PathDrafts, "", draftRequest(t, w.draft("web1 moves again", labelsOf(t, "web1", "site=dev"))))
			id := server.Waiting(w.server).ID
			return []changeCase{{path: api.DraftPath(id), target: id, before: `"summary":"web1 moves again"`}}
		},
		"POST " + api.PathOrders: func() []changeCase {
			order.twoMustSign()
			return []changeCase{{path: api.PathOrders, body: order.signed(w.key), target: "o1", after: `{"canary":1,"clients":1,"expires":`}}
		},
		"POST " + api.PathOrders + "/{id}/approve": func() []changeCase {
			return []changeCase{{path: api.OrderPath("o1", "approve"), body: order.signed(bob), target: "o1", before: `"state":"pending"`, after: `"signs":["bob (` + bob.ID()[:16]}}
		},
		"POST " + api.PathOrders + "/{id}/stop":   one(changeCase{path: api.OrderPath("o1", "stop"), body: api.StopRequest{}, target: "o1", before: `"state":"open"`, after: `"state":"stopped"`}),
		"POST " + api.PathOrders + "/{id}/resume": one(changeCase{path: api.OrderPath("o1", "resume"), body: struct{}{}, target: "o1", before: `"reason":"stopped by olga: ` + why, after: `"state":"open"`}),
		"POST " + api.PathHooks + "/{name}/test":  one(changeCase{path: api.PathHooks + "/told/test", body: struct{}{}, target: "told", after: `"decision"`}),
		"POST " + api.PathDeliveries + "/retry":   one(changeCase{path: api.PathDeliveries + "/retry", body: api.RetryRequest{}, target: "all"}),
		"POST " + api.PathConfig + "/reload": func() []changeCase {
			w.edit("[[trigger]]\nname = \"more\"\non = [\"order_done\"]\ncommand = [\"/bin/true\", \"hush\"]\n")
			return []changeCase{{path: api.PathConfig + "/reload", body: struct{}{}, target: "configuration", after: `"changed":["trigger more: new"]`}}
		},
	}
}

func requestOf(t *testing.T, config *tls.Config) []byte {
	t.Helper()
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, config.Certificates[0].PrivateKey.(crypto.Signer))
	must(t, err)
	return request
}

func draftRequest(t *testing.T, d *trust.Draft) api.DraftRequest {
	t.Helper()
	return api.DraftRequest{Draft: encode(t, d)}
}

func labelsOf(t *testing.T, client, label string) map[string][]byte {
	t.Helper()
	labels, err := webjob.ParseLabels([]string{label})
	must(t, err)
	content, err := trust.EncodeLabels(labels)
	must(t, err)
	return map[string][]byte{trust.ClientPath(client): content}
}

func (w *world) draft(summary string, contents map[string][]byte) *trust.Draft {
	w.t.Helper()
	d, err := server.NewDraft(w.server, summary, contents)
	must(w.t, err)
	return d
}

// ordering is an order that alice and bob must sign.
type ordering struct {
	w     *world
	bob   *trust.PrivateKey
	order webjob.Order
}

// twoMustSign lands a policy by which both must sign orders.
func (o *ordering) twoMustSign() {
	w := o.w
	people := []trust.NamedKey{trust.NewNamedKey("alice", w.key.PublicKey), trust.NewNamedKey("bob", o.bob.PublicKey)}
	policy, err := trust.NewPolicy(2, people...)
	must(w.t, err)
	content, err := policy.Encode()
	must(w.t, err)
	must(w.t, server.Accept(w.t.Context(), w.server, w.key, map[string][]byte{trust.PolicyPath: content}))
}

// signed returns the order as one of them signed it.
func (o *ordering) signed(key *trust.PrivateKey) api.OrderRequest {
	w := o.w
	if o.order.ID == "" {
		v, err := w.backends.Store.JobVersion(w.t.Context(), "job", 1)
		must(w.t, err)
		at := time.Now().UTC().Truncate(time.Second)
		o.order = webjob.Order{
			Format: webjob.OrderFormat, ID: "o1", Job: "job", Version: 1, Manifest: v.Manifest, On: "all", Created: at, NotBefore: at, Expires: at.Add(time.Hour), Canary: 1, Tag: "patches",
		}
	}
	envelope, err := trust.SignOrder(&o.order, key)
	must(w.t, err)
	return api.OrderRequest{Envelope: envelope}
}

// What those who are not let in try is recorded as a try of who holds that token, and is
// bounded.
func TestStrangersAreRecorded(t *testing.T) {
	w := newWorld(t)
	w.operate("olga", "admin")
	key, err := trust.GenerateKey(trust.ECDSA)
	must(t, err)
	request, err := trust.CertificateRequest(key, "x")
	must(t, err)
	nobody := trust.ClientTLS(tls.Certificate{}, w.ca.Certificate)
	login := func(secret, name string) {
		w.says(nobody, http.MethodPost, api.PathLogin, "", wire.EnrollRequest{Secret: []byte(secret), ID: name, CertificateRequest: request})
	}
	visitor := webjob.DigestOf([]byte("visitor"))
	must(t, w.backends.Store.AddToken(t.Context(), webjob.Token{
		ID: visitor.Short(), Secret: visitor, Role: webjob.RoleOperator, Grants: []webjob.Grant{{Role: webjob.Viewer}}, Uses: 1, Total: 1, Expires: time.Now().Add(time.Hour),
	}))
	known := len(w.theActs())
	login("visitor", "olga") // a good token, for a name that is taken
	login("never made", "eve")
	login("visitor", "../eve")
	enrol := wire.NewClient(w.endpoint.URL, nobody)
	defer enrol.Close()
	err = enrol.Call(t.Context(), http.MethodPost, wire.PathEnroll, nil, wire.EnrollRequest{Secret: []byte("visitor"), ID: "web1", Platform: "linux/amd64", CertificateRequest: request}, nil)
	if webjob.KindOf(err) != webjob.Refused {
		t.Fatal(err)
	}
	acts := w.theActs()[known:]
	token, unknown := webjob.TokenActor(visitor.Short()), webjob.TokenActor(webjob.DigestOf([]byte("never made")).Short())
	for i, want := range []webjob.Act{
		{Actor: token, Action: "operator.login", Target: "olga", Outcome: webjob.ActFailed, Error: "operator name olga is taken"},
		{Actor: unknown, Action: "operator.login", Target: "eve", Outcome: webjob.ActRefused, Error: "token is unknown"},
		{Actor: token, Action: "operator.login", Outcome: webjob.ActFailed, Error: "is not allowed"},
		{Actor: token, Action: "client.enroll", Target: "web1", Outcome: webjob.ActRefused, Error: "token is for a new operator"},
	} {
		if len(acts) != 4 {
			t.Fatalf("%d entries: %+v", len(acts), acts)
		}
		if got := acts[i]; got.Actor != want.Actor || got.Action != want.Action || got.Target != want.Target || got.Outcome != want.Outcome ||
			!strings.Contains(got.Error, want.Error) || !strings.HasPrefix(got.Address, "127.0.0.1:") {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	// A revoked operator is a stranger, whatever it asks for.
	paul := w.operate("paul", "admin")
	must(t, w.backends.Store.RevokeOperator(t.Context(), "paul", "", time.Now()))
	for i := range 40 {
		w.says(paul, http.MethodGet, api.ClientPath(fmt.Sprint("web", i)), "", nil)
	}
	login("visitor", "eve") // is let in
	must(t, server.TidyAt(t.Context(), w.server, time.Now().UTC().Add(2*time.Minute)))
	acts = w.theActs()[known+4:]
	last := acts[len(acts)-1]
	if len(acts) != 6+2 || acts[5].Actor != "paul" || acts[5].Outcome != webjob.ActRefused || acts[6].Actor != "eve" || acts[6].Outcome != webjob.ActDone ||
		last.Action != "audit.rest" || !strings.Contains(string(last.After), `"tries":34`) {
		t.Errorf("%d entries, the last is %+v %s", len(acts), last, last.After)
	}
}
