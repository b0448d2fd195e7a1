package server_test

import (
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
	"webjob.dev/webjob/internal/server"
	"webjob.dev/webjob/wire"
)

// next is the value of a ticket to follow; every number may have the same.
const next = ".AAAAAAAAAAAAAAAAAAAAAA"

var jobPath = wire.JobPath("job", wire.JobQuery{Platform: "linux/amd64"})

// showing sends a request that shows a ticket and has the answer's header.
func (w *world) showing(config *tls.Config, method, path, ticket, told, body string) (int, http.Header) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), method, w.endpoint.URL+path, strings.NewReader(body))
	must(w.t, err)
	request.Header.Set(wire.HeaderTicket, ticket)
	request.Header.Set(wire.HeaderTold, told)
	response, err := httpClient(config).Do(request)
	must(w.t, err)
	must(w.t, response.Body.Close())
	return response.StatusCode, response.Header
}

// steps takes so many steps and returns the tickets, the first of which is none.
func (w *world) steps(config *tls.Config, n int) []string {
	w.t.Helper()
	tickets := []string{""}
	for range n {
		status, header := w.showing(config, http.MethodGet, jobPath, tickets[len(tickets)-1]+next, "", "")
		if status != http.StatusOK {
			w.t.Fatalf("a step was answered %d", status)
		}
		tickets = append(tickets, header.Get(wire.HeaderTicket))
	}
	return tickets
}

func (w *world) reported(client string) bool {
	w.t.Helper()
	c, err := w.backends.Store.Client(w.t.Context(), client)
	must(w.t, err)
	return c.Clone != nil
}

func (w *world) publish() {
	w.t.Helper()
	content := []byte("#!/bin/sh\n")
	d := webjob.DigestOf(content)
	must(w.t, server.PutPayload(w.t.Context(), w.server, content))
	m := &webjob.Manifest{
		Format: webjob.JobFormat, Name: "job", Version: 1, Scope: webjob.ScopeCommon, Created: time.Now().UTC().Truncate(time.Second),
		Expires: time.Now().UTC().Truncate(time.Second).Add(time.Hour), Leftovers: webjob.LeftoversStop, Limits: webjob.DefaultLimits(),
		Payloads: []webjob.Payload{{Platform: "any", Digest: d, Size: int64(len(content))}},
	}
	must(w.t, server.Publish(w.t.Context(), w.server, m, w.key))
}

// Every request of a client shows that it has the newest ticket, or it is not served; and
// who is told so and cannot show a newer one is told of.
func TestEveryRequestShowsATicket(t *testing.T) {
	w := newWorld(t)
	w.publish()
	for i, c := range []struct{ method, path, body string }{
		{http.MethodGet, jobPath, ""},
		{http.MethodGet, wire.BlobPath(webjob.EmptyDigest), ""},
		{http.MethodPost, wire.PathRepository, "{}"},
		{http.MethodGet, wire.PathRepositoryFiles + "timestamp.json", ""},
		{http.MethodPost, wire.PathRuns, `{"run":"run-1","job":"job"}`},
		{http.MethodPost, wire.PathResults, ""},
		{http.MethodGet, wire.UploadPath(webjob.EmptyDigest), ""},
		{http.MethodPatch, wire.UploadPath(webjob.EmptyDigest), ""},
		{http.MethodPost, wire.PathPoll, "{}"},
		{http.MethodPut, wire.PathFacts, "{}"},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			id := fmt.Sprint("web", i)
			client := w.client(id)
			old := w.steps(client, 7)[1]
			status, header := w.showing(client, c.method, c.path, old, "", c.body)
			told := header.Get(wire.HeaderTold)
			if status != http.StatusServiceUnavailable || told == "" || w.reported(id) {
				t.Fatalf("an old ticket was answered %d, told %q", status, told)
			}
			if status, _ := w.showing(client, c.method, c.path, old, told, c.body); status == http.StatusServiceUnavailable {
				t.Errorf("once more it was answered %d", status)
			}
			if !w.reported(id) {
				t.Error("it was not told of")
			}
		})
	}
}

// A program of the version before shows no ticket that counts and is served, until one of
// this version has taken a step.
func TestClientsOfTheVersionBefore(t *testing.T) {
	w := newWorld(t)
	w.publish()
	web1 := w.client("web1")
	const before = "AAAAAAAAAAcAAAAAAAAAB7v5cW8mVnVYd3hZb2xkIQA" // such as a server of the version before gave
	get := func(ticket, told string) (int, http.Header) {
		return w.showing(web1, http.MethodGet, jobPath, ticket, told, "")
	}
	for _, ticket := range []string{"", before, before} {
		if status, header := get(ticket, ""); status != http.StatusOK || header.Get(wire.HeaderTicket) != "" {
			t.Fatalf("it was answered %d with ticket %q", status, header.Get(wire.HeaderTicket))
		}
	}
	if status, header := get(before+next, ""); status != http.StatusOK || header.Get(wire.HeaderTicket) == "" {
		t.Fatalf("the first step was answered %d with ticket %q", status, header.Get(wire.HeaderTicket))
	}
	if status, _ := get(before, ""); status != http.StatusServiceUnavailable || w.reported("web1") {
		t.Errorf("it was answered %d after the first step", status)
	}
	must(t, server.Readmit(t.Context(), w.server, "web1"))
	if status, _ := get("", ""); status != http.StatusOK {
		t.Errorf("it was answered %d after an operator let it in", status)
	}
}

// A certificate is renewed for who has the newest ticket, and for nobody once two holders
// were told of.
func TestRenewalNeedsTheNewestTicket(t *testing.T) {
	w := newWorld(t)
	w.publish()
	for name, c := range map[string]struct {
		shown string // "newest", "the one before", "old", "none", "of before"
		want  int
		twice bool
	}{
		"the newest":                      {"newest", http.StatusOK, false},
		"the one before, another next":    {"the one before", http.StatusForbidden, true},
		"an old one":                      {"old", http.StatusServiceUnavailable, false},
		"none":                            {"none", http.StatusServiceUnavailable, false},
		"a program of the version before": {"of before", http.StatusServiceUnavailable, false},
	} {
		t.Run(name, func(t *testing.T) {
			id := "web-" + strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), ",", "")
			client := w.client(id)
			tickets := w.steps(client, 3)
			shown := map[string]string{
				"newest": tickets[3] + next, "the one before": tickets[2] + ".BBBBBBBBBBBBBBBBBBBBBA", "old": tickets[1] + next, "none": next, "of before": "",
			}[c.shown]
			body := w.renewal(client, id)
			status, header := w.showing(client, http.MethodPost, wire.PathRenew, shown, "", body)
			if status != c.want || w.reported(id) != c.twice {
				t.Fatalf("it was answered %d, two holders: %t", status, w.reported(id))
			}
			told := header.Get(wire.HeaderTold)
			if told != "" && c.shown != "of before" { // who follows the protocol asks again
				if status, _ = w.showing(client, http.MethodPost, wire.PathRenew, shown, told, body); status != http.StatusForbidden || !w.reported(id) {
					t.Errorf("once more it was answered %d, two holders: %t", status, w.reported(id))
				}
			}
			newest := tickets[3]
			if c.want == http.StatusOK {
				newest = header.Get(wire.HeaderTicket)
			}
			if w.reported(id) { // nor is it for the other one, as long as nobody has looked
				if status, _ = w.showing(client, http.MethodPost, wire.PathRenew, newest+next, "", body); status < 400 {
					t.Errorf("the other one was answered %d", status)
				}
				must(t, server.Readmit(t.Context(), w.server, id))
			}
			if status, _ = w.showing(client, http.MethodPost, wire.PathRenew, newest+next, "", body); status != http.StatusOK {
				t.Errorf("the real one was answered %d in the end", status)
			}
		})
	}
}

// renewal makes the request of a client for a new certificate for its key.
func (w *world) renewal(config *tls.Config, id string) string {
	w.t.Helper()
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, config.Certificates[0].PrivateKey)
	must(w.t, err)
	body, err := json.Marshal(wire.RenewRequest{ID: id, CertificateRequest: csr})
	must(w.t, err)
	return string(body)
}

// With on_clone = "suspend" the request that shows two holders is not served either.
func TestTwoHoldersAreShutOutAtOnce(t *testing.T) {
	w := newWorldWith(t, func(s *server.Settings) { s.Clients.OnClone = "suspend" })
	w.publish()
	web1 := w.client("web1")
	tickets := w.steps(web1, 2)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.endpoint.URL+jobPath, nil)
	must(t, err)
	request.Header.Set(wire.HeaderTicket, tickets[1]+".BBBBBBBBBBBBBBBBBBBBBA")
	response, err := httpClient(web1).Do(request)
	if err == nil { // the connection may be closed before the answer
		must(t, response.Body.Close())
		if response.StatusCode != http.StatusForbidden {
			t.Errorf("it was answered %d", response.StatusCode)
		}
	}
	client, err := w.backends.Store.Client(t.Context(), "web1")
	must(t, err)
	if client.SuspendedAt.IsZero() {
		t.Error("it is not suspended")
	}
}
