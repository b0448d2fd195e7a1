package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/server"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// operate adds an operator and returns its TLS configuration.
func (w *world) operate(name string, grants ...string) *tls.Config {
	w.t.Helper()
	key, err := trust.GenerateKey(trust.ECDSA)
	must(w.t, err)
	certificate, err := w.ca.IssueIdentity(trust.Identity{Role: webjob.RoleOperator, Name: name}, key.Public(), time.Now())
	must(w.t, err)
	secret := webjob.DigestOf([]byte("operator's token of " + name))
	token := webjob.Token{ID: secret.Short(), Secret: secret, Role: webjob.RoleOperator, Uses: 1, Expires: time.Now().Add(time.Hour)}
	for _, text := range grants {
		g, err := webjob.ParseGrant(text)
		must(w.t, err)
		token.Grants = append(token.Grants, g)
	}
	must(w.t, w.backends.Store.AddToken(w.t.Context(), token))
	_, err = w.backends.Store.AddOperator(w.t.Context(), secret, webjob.Operator{Name: name, Key: trust.KeyDigest(certificate), EnrolledAt: time.Now()},
		webjob.Certificate{Serial: certificate.SerialNumber, NotAfter: certificate.NotAfter})
	must(w.t, err)
	return trust.ClientTLS(tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key.Signer()}, w.ca.Certificate)
}

// ask makes a request of an operator.
func (w *world) ask(config *tls.Config, method, path string, body any) (int, string) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), method, w.operator.URL+path, bytes.NewReader(encode(w.t, body)))
	must(w.t, err)
	response, err := httpClient(config).Do(request)
	must(w.t, err)
	text, err := io.ReadAll(response.Body)
	must(w.t, errors.Join(err, response.Body.Close()))
	return response.StatusCode, string(text)
}

// acts returns the audit log, one line an entry.
func (w *world) acts(filter webjob.ActFilter) (lines []string) {
	w.t.Helper()
	filter.Page.Limit = 100
	entries, err := w.backends.Store.ListActs(w.t.Context(), filter)
	must(w.t, err)
	for _, e := range entries {
		var text webjob.AuditText
		must(w.t, json.Unmarshal(e.Text, &text))
		lines = append(lines, fmt.Sprintf("%s %s %s %s %s", text.Actor, text.Action, text.Target, text.Outcome, text.After))
	}
	return lines
}

// Every route of operators asks for the right that its line names, on all clients when it
// concerns all.
func TestEveryRouteHasARight(t *testing.T) {
	w := newWorld(t)
	roles := map[string]*tls.Config{}
	for _, role := range webjob.OperatorRoles() {
		roles[string(role)] = w.operate(string(role), string(role))
	}
	narrowed := w.operate("narrowed", "admin on site=lab")
	stranger := w.client("web1")
	lines := server.OperatorRoutes(w.server)
	if len(lines) < 40 {
		t.Fatalf("only %d routes", len(lines))
	}
	for _, line := range lines {
		method, path, _ := strings.Cut(line.Pattern, " ")
		path = strings.NewReplacer("{id}", "x", "{name}", "x", "{run}", "x", "{digest}", "x", "{version}", "1", "{part}", "x").Replace(path)
		for role, config := range roles {
			if line.Action == "config.reload" || line.Action == "operator.renew" {
				continue // they would be carried out
			}
			status, text := w.ask(config, method, path, struct{}{})
			has := grantOf(role, line.Right)
			if refused := status == http.StatusForbidden && strings.Contains(text, "it needs the right"); method != http.MethodHead && refused == has || !has && status != http.StatusForbidden {
				t.Errorf("%s of %s: %d %s", line.Pattern, role, status, text)
			}
		}
		if line.Everywhere {
			if status, text := w.ask(narrowed, method, path, struct{}{}); status != http.StatusForbidden || method != http.MethodHead && !strings.Contains(text, "concerns all clients") {
				t.Errorf("%s of a narrowed admin: %d %s", line.Pattern, status, text)
			}
		}
		if status, _ := w.ask(stranger, method, path, struct{}{}); status != http.StatusForbidden {
			t.Errorf("%s of a client: %d", line.Pattern, status)
		}
	}
}

func grantOf(role string, right webjob.Right) bool {
	for _, has := range webjob.OperatorRole(role).Rights() {
		if has == right {
			return true
		}
	}
	return false
}

func TestRouteWithoutARightDoesNotStart(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		right  webjob.Right
		action string
	}{"no right": {"", "x.y"}, "an unknown right": {"everything", "x.y"}, "no action": {webjob.MayView, ""}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a route with %s was added", name)
				}
			}()
			server.AddRoute(w.server, "GET /x", c.right, c.action)
		}()
	}
	server.AddRoute(w.server, "GET /x", webjob.MayView, "x.y")
}

// Who is revoked is refused, and what it is in the middle of ends.
func TestRevokedOperatorIsCutOff(t *testing.T) {
	w := newWorld(t)
	olga, paul := w.operate("olga", "admin"), w.operate("paul", "admin")
	digest := webjob.DigestOf([]byte("never sent"))
	connection, err := tls.Dial("tcp", w.operator.Listener.Addr().String(), paul)
	must(t, err)
	_, err = fmt.Fprintf(connection, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nthe beginning", api.OperatorBlobPath(digest))
	must(t, err)
	until(t, "the upload has begun", func() bool { return server.Connected(w.server, "paul") == 1 })
	status, text := w.ask(olga, http.MethodPost, api.OperatorPath("paul", "revoke"), api.RevokeRequest{Reason: "stolen"})
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	must(t, connection.SetReadDeadline(time.Now().Add(20*time.Second))) // before the server would give the upload up
	if answer, err := io.ReadAll(connection); len(answer) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the upload of a revoked operator was not cut off: %s, %v", answer, err)
	}
	_ = connection.Close()
	if status, text := w.ask(paul, http.MethodGet, api.PathClients, nil); status != http.StatusForbidden || !strings.Contains(text, "operator paul is revoked") {
		t.Errorf("%d %s", status, text)
	}
	// Who revokes itself gets its answer, and no other.
	w.operate("rosa", "admin")
	if status, text := w.ask(olga, http.MethodPost, api.OperatorPath("olga", "revoke"), api.RevokeRequest{}); status != http.StatusOK {
		t.Errorf("%d %s", status, text)
	}
	if status, _ := w.ask(olga, http.MethodGet, api.PathClients, nil); status != http.StatusForbidden {
		t.Errorf("%d", status)
	}
}

// between is a store in which something happens when an operator was found to be let in,
// or a token is about to be added.
type between struct {
	webjob.Store

	after       string // whose look-up
	found, adds func()
}

func once(f *func()) {
	if do := *f; do != nil {
		*f = nil
		do()
	}
}

func (b *between) Operator(ctx context.Context, name string) (webjob.Operator, error) {
	o, err := b.Store.Operator(ctx, name)
	if name == b.after {
		once(&b.found)
	}
	return o, err
}

func (b *between) Client(ctx context.Context, id string) (webjob.Client, error) {
	c, err := b.Store.Client(ctx, id)
	if id == b.after {
		once(&b.found)
	}
	return c, err
}

func (b *between) AddToken(ctx context.Context, t webjob.Token) error {
	once(&b.adds)
	return b.Store.AddToken(ctx, t)
}

// Who is revoked right after it was found to be let in is cut off like any other, and what
// it was about to change is not changed.
func TestRevocationInTheMiddleOfARequest(t *testing.T) {
	var store *between
	w := newWorldOver(t, func(*server.Settings) {}, func(s webjob.Store) webjob.Store {
		store = &between{Store: s}
		return store
	})
	olga, paul, rosa := w.operate("olga", "admin"), w.operate("paul", "admin"), w.operate("rosa", "admin")
	revoke := func(name string) {
		if status, text := w.ask(olga, http.MethodPost, api.OperatorPath(name, "revoke"), api.RevokeRequest{}); status != http.StatusOK {
			t.Errorf("%d %s", status, text)
		}
	}
	connection, err := tls.Dial("tcp", w.operator.Listener.Addr().String(), paul)
	must(t, err)
	revoked := make(chan struct{})
	store.after, store.found = "paul", func() {
		revoke("paul")
		close(revoked)
	}
	_, err = fmt.Fprintf(connection, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nthe beginning", api.OperatorBlobPath(webjob.DigestOf([]byte("never sent"))))
	must(t, err)
	must(t, connection.SetReadDeadline(time.Now().Add(20*time.Second))) // before the server would give the upload up
	if answer, err := io.ReadAll(connection); len(answer) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the upload of a revoked operator was not cut off: %s, %v", answer, err)
	}
	_ = connection.Close()
	<-revoked

	secret := webjob.DigestOf([]byte("late"))
	store.adds = func() { must(t, store.RevokeOperator(t.Context(), "rosa", "", time.Now())) }
	status, text := w.ask(rosa, http.MethodPost, api.PathTokens, api.NewTokenRequest{
		Secret: secret, Role: webjob.RoleOperator, Grants: []webjob.Grant{{Role: webjob.Admin}}, Uses: 1, TTLSeconds: 60,
	})
	if status != http.StatusForbidden || !strings.Contains(text, "was revoked") {
		t.Errorf("%d %s", status, text)
	}
	if _, err := store.Token(t.Context(), secret); webjob.KindOf(err) != webjob.NotFound {
		t.Errorf("a revoked operator has made a token: %v", err)
	}
}

// A poll whose client is shut out before it waits for work does not wait.
func TestRevocationBeforeAPollWaits(t *testing.T) {
	var store *between
	w := newWorldOver(t, func(*server.Settings) {}, func(s webjob.Store) webjob.Store {
		store = &between{Store: s}
		return store
	})
	olga, web1 := w.operate("olga", "admin"), w.client("web1")
	store.after, store.found = "web1", func() {
		if status, text := w.ask(olga, http.MethodPost, api.ClientPath("web1", "revoke"), api.RevokeRequest{}); status != http.StatusOK {
			t.Errorf("%d %s", status, text)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.endpoint.URL+wire.PathPoll, bytes.NewReader(encode(t, wire.PollRequest{WaitMS: 60_000, Free: 1})))
	must(t, err)
	client := httpClient(web1)
	client.Timeout = 20 * time.Second // the poll would be held for longer
	response, err := client.Do(request)
	must(t, err)
	_ = response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("status %d", response.StatusCode)
	}
}

// What is done, read, refused and failed is in the log, with its actor.
func TestActsAreRecorded(t *testing.T) {
	w := newWorld(t)
	w.client("web1")
	olga, paul := w.operate("olga", "admin"), w.operate("paul", "viewer")
	for range 3 { // as a watch does
		w.ask(olga, http.MethodGet, api.ClientPath("web1"), nil)
	}
	w.ask(olga, http.MethodPost, api.ClientPath("web1", "suspend"), api.RevokeRequest{Reason: "odd"})
	w.ask(olga, http.MethodPost, api.ClientPath("nobody", "suspend"), api.RevokeRequest{})
	for range 3 {
		w.ask(paul, http.MethodPost, api.ClientPath("web1", "revoke"), api.RevokeRequest{})
	}
	w.ask(olga, http.MethodPost, api.PathConfig+"/reload", nil)
	w.ask(olga, http.MethodPost, api.PathConfig+"/reload", nil)
	w.ask(w.client("web2"), http.MethodGet, api.PathClients, nil) // no operator
	w.ask(trust.ClientTLS(tls.Certificate{}, w.ca.Certificate), http.MethodGet, api.PathClients, nil)
	got := w.acts(webjob.ActFilter{})
	want := []string{
		"olga client.show web1 done ",
		`olga client.suspend web1 done {"state":"suspended"}`,
		"olga client.suspend nobody failed ",
		"paul client.revoke web1 refused ",
		`olga config.reload configuration done {"changed":[],"wait_for_restart":["endpoint"]}`,
		`olga config.reload configuration done {"changed":[],"wait_for_restart":["endpoint"]}`,
	}
	// The first ones are of the server: the token of the first login.
	got = got[len(got)-min(len(got), len(want)):]
	for i, line := range want {
		if i >= len(got) || !strings.HasPrefix(got[i], line) {
			t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if all := w.acts(webjob.ActFilter{}); len(all) != len(want)+1 {
		t.Errorf("got\n%s", strings.Join(all, "\n"))
	}
}

// What is read leaves only when its reading is in the log.
func TestNothingIsReadUnrecorded(t *testing.T) {
	w := newWorld(t)
	w.client("web1")
	olga := w.operate("olga", "admin")
	server.BreakAudit(w.server)
	status, text := w.ask(olga, http.MethodGet, api.ClientPath("web1"), nil)
	if status != http.StatusServiceUnavailable || strings.Contains(text, "linux/amd64") || !strings.Contains(text, "audit log cannot be written") {
		t.Errorf("%d %s", status, text)
	}
}
