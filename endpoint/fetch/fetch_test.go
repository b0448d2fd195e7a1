package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/endpoint/fetch"
	"webjob.dev/webjob/trust"
	"webjob.dev/webjob/wire"
)

var content = []byte("#!/bin/sh\necho hello\n")

// hostile is a server that answers what a test wants.
type hostile struct {
	key      *trust.PrivateKey
	root     *trust.Root
	envelope []byte // answered to a job request
	length   string // Webjob-Envelope-Length; "" says the truth
	behind   []byte // follows the envelope
	blob     []byte // answered to a blob request
	url      string
	client   *wire.Client
}

func newHostile(t *testing.T) *hostile {
	t.Helper()
	key, err := trust.GenerateKey(trust.Ed25519)
	must(t, err)
	root, err := trust.NewRoot(1, map[string]*trust.PublicKey{"alice": key.PublicKey})
	must(t, err)
	h := &hostile{key: key, root: root, behind: content, blob: content}
	server := httptest.NewTLSServer(h)
	t.Cleanup(server.Close)
	config := server.Client().Transport.(*http.Transport).TLSClientConfig
	h.client, h.url = wire.NewClient(server.URL, config), server.URL
	h.sign(t, manifest())
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func manifest() *webjob.Manifest {
	now := time.Now().UTC().Truncate(time.Second)
	return &webjob.Manifest{
		Format: webjob.JobFormat, Name: "job", Version: 1, Scope: webjob.ScopeCommon, Created: now, Expires: now.Add(time.Hour),
		Leftovers: webjob.LeftoversStop, Limits: webjob.DefaultLimits(),
		Payloads: []webjob.Payload{{Platform: "any", Digest: webjob.DigestOf(content), Size: int64(len(content))}},
	}
}

func (h *hostile) sign(t *testing.T, m *webjob.Manifest) {
	t.Helper()
	var err error
	h.envelope, err = trust.SignManifest(m, h.key)
	must(t, err)
}

func (h *hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, wire.PathBlobs) {
		_, _ = w.Write(h.blob)
		return
	}
	length := h.length
	if length == "" {
		length = fmt.Sprint(len(h.envelope))
	}
	w.Header().Set(wire.HeaderEnvelopeLength, length)
	w.Header().Set("Content-Length", fmt.Sprint(len(h.envelope)+len(h.behind)))
	_, _ = w.Write(append(bytes.Clone(h.envelope), h.behind...))
}

// get walks the whole stage and returns the payload that would run.
func (h *hostile) get(t *testing.T) ([]byte, error) {
	who := fetch.Requester{ID: "web1", Labels: webjob.Labels{"env": "prod"}, Root: h.root}
	offer, err := fetch.Job(t.Context(), h.client, who, "job", wire.JobQuery{}, time.Now())
	if err != nil {
		return nil, err
	}
	defer func() { _ = offer.Close() }()
	payload, err := offer.PayloadFor("linux/amd64")
	if err != nil {
		return nil, err
	}
	var got bytes.Buffer
	err = offer.Payload(t.Context(), payload, &got)
	return got.Bytes(), err
}

func TestGoodAnswers(t *testing.T) {
	for name, change := range map[string]func(*hostile){
		"payload behind the envelope": func(*hostile) {},
		"payload as a blob":           func(h *hostile) { h.behind = nil },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t)
			change(h)
			got, err := h.get(t)
			if err != nil || !bytes.Equal(got, content) {
				t.Fatalf("got %q, %v", got, err)
			}
		})
	}
}

func TestHostileAnswers(t *testing.T) {
	other := append(bytes.Clone(content[:len(content)-1]), '!')
	for name, c := range map[string]struct {
		change func(*testing.T, *hostile)
		want   string
		judged bool // a verification error, which is reported to people
	}{
		"another job": {func(t *testing.T, h *hostile) {
			m := manifest()
			m.Name = "other"
			h.sign(t, m)
		}, "asked for job job and got a manifest of job other", true},
		"another client's job": {func(t *testing.T, h *hostile) {
			m := manifest()
			m.Scope = webjob.ClientScope("web2")
			h.sign(t, m)
		}, "is for client:web2, and this is client web1", true},
		"another group's job": {func(t *testing.T, h *hostile) {
			m := manifest()
			m.Scope = webjob.GroupScope("env=test")
			h.sign(t, m)
		}, "is for group:env=test", true},
		"an expired job": {func(t *testing.T, h *hostile) {
			m := manifest()
			m.Created, m.Expires = m.Created.AddDate(-1, 0, 0), m.Created.AddDate(0, 0, -1)
			h.sign(t, m)
		}, "expired at", true},
		"a stranger's signature": {func(t *testing.T, h *hostile) {
			stranger, err := trust.GenerateKey(trust.Ed25519)
			must(t, err)
			h.envelope, err = trust.SignManifest(manifest(), stranger)
			must(t, err)
		}, "0 of 1 required signatures", true},
		"a swapped payload":        {func(_ *testing.T, h *hostile) { h.behind = other }, "not what was signed", true},
		"a longer payload":         {func(_ *testing.T, h *hostile) { h.behind = append(bytes.Clone(content), 'x') }, "more than the signed", true},
		"a shorter payload":        {func(_ *testing.T, h *hostile) { h.behind = content[:5] }, "less than the signed", true},
		"a swapped blob":           {func(_ *testing.T, h *hostile) { h.behind, h.blob = nil, other }, "not what was signed", true},
		"a blob without end":       {func(_ *testing.T, h *hostile) { h.behind, h.blob = nil, bytes.Repeat(content, 1<<16) }, "more than the signed", true},
		"no envelope length":       {func(_ *testing.T, h *hostile) { h.length = "x" }, wire.HeaderEnvelopeLength, false},
		"a negative length":        {func(_ *testing.T, h *hostile) { h.length = "-1" }, wire.HeaderEnvelopeLength, false},
		"a length of a gigabyte":   {func(_ *testing.T, h *hostile) { h.length = "1073741824" }, wire.HeaderEnvelopeLength, false},
		"a length past the answer": {func(_ *testing.T, h *hostile) { h.length = "5000" }, "ended early", false},
		"a length inside":          {func(_ *testing.T, h *hostile) { h.length = "20" }, "envelope is not readable", true},
		"nonsense":                 {func(_ *testing.T, h *hostile) { h.envelope = []byte("<html>") }, "envelope is not readable", true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t)
			c.change(t, h)
			_, err := h.get(t)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			var verification *fetch.VerificationError
			if errors.As(err, &verification) != c.judged {
				t.Errorf("verification error = %v, want %v: %v", !c.judged, c.judged, err)
			}
		})
	}
}

// A server that sends nothing does not hold the client past its limit.
func TestSilentServer(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	c := wire.NewClient(server.URL, server.Client().Transport.(*http.Transport).TLSClientConfig)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := fetch.Job(ctx, c, fetch.Requester{}, "job", wire.JobQuery{}, time.Now())
	if webjob.KindOf(err) != webjob.Unavailable || !strings.Contains(err.Error(), "did not answer in time") {
		t.Fatalf("got %v", err)
	}
}
