package fetch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint/fetch"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/internal/trust/trusttest"
	"webjob.dev/webjob/wire"
)

var content = []byte("#!/bin/sh\necho hello\n")

// hostile is a server that answers what a test wants.
type hostile struct {
	repository *trusttest.Repository
	bundle     []byte // answered to a job request; nil is what is in the repository
	manifest   []byte
	length     string // Webjob-Manifest-Length; "" says the truth
	behind     []byte // follows the manifest
	blob       []byte // answered to a blob request
	client     *wire.Client
}

func newHostile(t *testing.T) *hostile {
	t.Helper()
	h := &hostile{repository: trusttest.New(t, 1, "alice"), behind: content, blob: content}
	server := httptest.NewTLSServer(h)
	t.Cleanup(server.Close)
	h.client = wire.NewClient(server.URL, server.Client().Transport.(*http.Transport).TLSClientConfig)
	return h
}

func manifest() *webjob.Manifest {
	now := time.Now().UTC().Truncate(time.Second)
	return &webjob.Manifest{
		Format: webjob.JobFormat, Name: "job", Version: 1, Scope: webjob.ScopeCommon, Created: now, Expires: now.AddDate(0, 1, 0),
		Leftovers: webjob.LeftoversStop, Limits: webjob.DefaultLimits(),
		Payloads: []webjob.Payload{{Platform: "any", Digest: webjob.DigestOf(content), Size: int64(len(content))}},
	}
}

func (h *hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, wire.PathBlobs) {
		_, _ = w.Write(h.blob)
		return
	}
	length := h.length
	if length == "" {
		length = fmt.Sprint(len(h.manifest))
	}
	bundle := h.bundle
	if bundle == nil {
		bundle, _ = json.Marshal(h.repository.Bundle(h.repository.Pinned(), trust.PolicyPath, trust.JobPath("job"), trust.ClientPath("web1")))
	}
	w.Header().Set(wire.HeaderBundleLength, fmt.Sprint(len(bundle)))
	w.Header().Set(wire.HeaderManifestLength, length)
	w.Header().Set("Content-Length", fmt.Sprint(len(bundle)+len(h.manifest)+len(h.behind)))
	_, _ = w.Write(slices.Concat(bundle, h.manifest, h.behind))
}

// get walks the whole stage and returns the payload that would run. A job that nobody
// published is published as it should be.
func (h *hostile) get(t *testing.T) ([]byte, error) {
	t.Helper()
	if _, err := h.repository.View.Index("job"); err != nil {
		text := h.repository.Publish(manifest())
		if h.manifest == nil {
			h.manifest = text
		}
	}
	who := fetch.Requester{ID: "web1", Labels: webjob.Labels{"env": "prod"}, Repository: h.repository.Pinned()}
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
		"payload behind the manifest": func(*hostile) {},
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
		"another job": {func(_ *testing.T, h *hostile) {
			m := manifest()
			m.Name = "other"
			h.manifest = h.repository.Publish(m)
		}, "the server swapped it", true},
		"another client's job": {func(_ *testing.T, h *hostile) {
			m := manifest()
			m.Scope = webjob.ClientScope("web2")
			h.manifest = h.repository.Publish(m)
		}, "has no version for this client", true},
		"another group's job": {func(_ *testing.T, h *hostile) {
			m := manifest()
			m.Scope = webjob.GroupScope("env=test")
			h.manifest = h.repository.Publish(m)
		}, "has no version for this client", true},
		"an older version": {func(_ *testing.T, h *hostile) {
			h.manifest = h.repository.Publish(manifest())
			m := manifest()
			m.Version = 2
			h.repository.Publish(m)
		}, "gives this client version 2: the manifest is", true},
		"an expired job": {func(_ *testing.T, h *hostile) {
			m := manifest()
			m.Created, m.Expires = m.Created.AddDate(-1, 0, 0), m.Created.AddDate(0, 0, -1)
			h.manifest = h.repository.Publish(m)
		}, "expired at", true},
		"a repository that strangers signed": {func(t *testing.T, h *hostile) {
			strangers := trusttest.New(t, 1, "mallory")
			h.manifest = strangers.Publish(manifest())
			h.bundle, _ = json.Marshal(strangers.Bundle(strangers.Pinned(), trust.PolicyPath, trust.JobPath("job")))
		}, "too few of the people", true},
		"no repository":             {func(_ *testing.T, h *hostile) { h.bundle = []byte{} }, "only its root is here", true},
		"a repository of no use":    {func(_ *testing.T, h *hostile) { h.bundle = []byte("{}") }, "no timestamp came", true},
		"a repository that is HTML": {func(_ *testing.T, h *hostile) { h.bundle = []byte("<html>") }, "not readable", true},
		"a job that nobody signed": {func(_ *testing.T, h *hostile) {
			h.bundle, _ = json.Marshal(h.repository.Bundle(h.repository.Pinned(), trust.PolicyPath, trust.JobPath("job")))
		}, "is not in the signed job repository", true},
		"a swapped payload":        {func(_ *testing.T, h *hostile) { h.behind = other }, "not what was signed", true},
		"a longer payload":         {func(_ *testing.T, h *hostile) { h.behind = append(bytes.Clone(content), 'x') }, "more than the signed", true},
		"a shorter payload":        {func(_ *testing.T, h *hostile) { h.behind = content[:5] }, "less than the signed", true},
		"a swapped blob":           {func(_ *testing.T, h *hostile) { h.behind, h.blob = nil, other }, "not what was signed", true},
		"a blob without end":       {func(_ *testing.T, h *hostile) { h.behind, h.blob = nil, bytes.Repeat(content, 1<<16) }, "more than the signed", true},
		"no manifest length":       {func(_ *testing.T, h *hostile) { h.length = "x" }, wire.HeaderManifestLength, true},
		"a negative length":        {func(_ *testing.T, h *hostile) { h.length = "-1" }, wire.HeaderManifestLength, true},
		"a length of a gigabyte":   {func(_ *testing.T, h *hostile) { h.length = "1073741824" }, wire.HeaderManifestLength, true},
		"a length past the answer": {func(_ *testing.T, h *hostile) { h.length = "5000" }, "ended early", false},
		"a length inside":          {func(_ *testing.T, h *hostile) { h.length = "20" }, "the server swapped it", true},
		"nonsense":                 {func(_ *testing.T, h *hostile) { h.manifest = []byte("<html>") }, "the server swapped it", true},
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
	_, err := fetch.Job(ctx, c, fetch.Requester{Repository: trusttest.New(t, 1, "alice").Pinned()}, "job", wire.JobQuery{}, time.Now())
	if webjob.KindOf(err) != webjob.Unavailable || !strings.Contains(err.Error(), "did not answer in time") {
		t.Fatalf("got %v", err)
	}
}

// A server that hides what is new is believed for a day and no longer.
func TestFrozenServer(t *testing.T) {
	h := newHostile(t)
	h.manifest = h.repository.Publish(manifest())
	known, err := h.repository.Pinned().Update(h.repository.Bundle(h.repository.Pinned(), trust.PolicyPath, trust.JobPath("job"), trust.ClientPath("web1")), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	h.bundle = []byte{}
	get := func(later time.Duration) error {
		offer, err := fetch.Job(t.Context(), h.client, fetch.Requester{ID: "web1", Repository: known}, "job", wire.JobQuery{}, time.Now().Add(later))
		if err == nil {
			err = offer.Close()
		}
		return err
	}
	if err := get(0); err != nil {
		t.Fatal(err)
	}
	if err := get(25 * time.Hour); err == nil || !strings.Contains(err.Error(), "the timestamp expired at") {
		t.Errorf("after a day: %v", err)
	}
}
