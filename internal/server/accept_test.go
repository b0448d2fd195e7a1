package server_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/endpoint/fetch"
	"webjob.dev/webjob/internal/server"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// heldStore stops requests at the worst moments.
type heldStore struct {
	webjob.Store
	found, accepted func() // after FindJob, after ChangeRepository
}

func (s *heldStore) FindJob(ctx context.Context, name string, scopes []webjob.Scope) (webjob.JobVersion, error) {
	v, err := s.Store.FindJob(ctx, name, scopes)
	s.found()
	return v, err
}

func (s *heldStore) ChangeRepository(ctx context.Context, change webjob.RepositoryChange, at time.Time) error {
	err := s.Store.ChangeRepository(ctx, change, at)
	s.accepted()
	return err
}

// A client gets a version and the index that names it from the same side of a change,
// whichever of the two comes in between.
func TestVersionAndIndexAreOfOneMoment(t *testing.T) {
	// A guard that holds makes the other side wait, which shows only by nothing happening.
	const long = 300 * time.Millisecond
	for name, between := range map[string]func(s *heldStore, request, change func()){
		"a change during a request": func(s *heldStore, request, change func()) {
			done := make(chan struct{})
			s.found = func() {
				go func() { change(); close(done) }()
				select {
				case <-done:
				case <-time.After(long):
				}
			}
			request()
			<-done
		},
		"a request during a change": func(s *heldStore, request, change func()) {
			done := make(chan struct{})
			s.accepted = func() {
				go func() { request(); close(done) }()
				select {
				case <-done:
				case <-time.After(long):
				}
			}
			change()
			<-done
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &heldStore{found: func() {}, accepted: func() {}}
			w := newWorldOver(t, func(*server.Settings) {}, func(inner webjob.Store) webjob.Store { s.Store = inner; return s })
			payload := w.payload("#!/bin/sh\n")
			must(t, server.Publish(t.Context(), w.server, manifestOf("job", 1, payload), w.key))
			c := wire.NewClient(w.endpoint.URL, w.client("web1"))
			defer c.Close()
			root, err := trust.NewView(server.RootOf(w.server))
			must(t, err)
			between(s, func() {
				offer, err := fetch.Job(context.Background(), c, fetch.Requester{ID: "web1", Repository: root}, "job", wire.JobQuery{Platform: "linux/amd64"}, time.Now())
				if err != nil {
					t.Error(err)
					return
				}
				_ = offer.Close()
			}, func() {
				if err := server.Publish(context.Background(), w.server, manifestOf("job", 2, payload), w.key); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func manifestOf(name string, version int64, payload webjob.Payload) *webjob.Manifest {
	at := time.Now().UTC().Truncate(time.Second)
	return &webjob.Manifest{
		Format: webjob.JobFormat, Name: name, Version: version, Scope: webjob.ScopeCommon, Created: at, Expires: at.Add(time.Hour),
		Leftovers: webjob.LeftoversStop, Limits: webjob.DefaultLimits(), Payloads: []webjob.Payload{payload},
	}
}

// payload stores a payload for every platform.
func (w *world) payload(content string) webjob.Payload {
	w.t.Helper()
	p := webjob.Payload{Platform: "any", Digest: webjob.DigestOf([]byte(content)), Size: int64(len(content))}
	must(w.t, w.backends.Blobs.Put(w.t.Context(), p.Digest, p.Size, strings.NewReader(content)))
	return p
}

// asOperator is a connection of an operator.
func (w *world) asOperator(name string) *wire.Client {
	w.t.Helper()
	c := wire.NewClient(w.operator.URL, w.operate(name, "admin"))
	w.t.Cleanup(c.Close)
	return c
}

func get(t *testing.T, c *wire.Client, path string) (string, error) {
	t.Helper()
	response, err := c.Send(t.Context(), http.MethodGet, path, nil, nil, -1)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(response.Body)
	return string(text), errors.Join(err, response.Body.Close())
}

// Operators may look at payloads, also of what was withdrawn or waits for signatures;
// parts of results are among the blobs, too, and are none.
func TestOperatorsGetPayloadsAndNoOtherBlobs(t *testing.T) {
	w := newWorld(t)
	operator := w.asOperator("olga")
	published, proposed, other := w.payload("published"), w.payload("proposed"), w.payload("a part of a result")
	must(t, server.Publish(t.Context(), w.server, manifestOf("job", 1, published), w.key))
	must(t, server.Propose(t.Context(), w.server, manifestOf("new", 1, proposed)))
	if text, err := get(t, operator, api.OperatorBlobPath(published.Digest)); err != nil || text != "published" {
		t.Errorf("a published payload: %q, %v", text, err)
	}
	if text, err := get(t, operator, api.OperatorBlobPath(proposed.Digest)); err != nil || text != "proposed" {
		t.Errorf("a proposed payload: %q, %v", text, err)
	}
	if text, err := get(t, operator, api.OperatorBlobPath(other.Digest)); webjob.KindOf(err) != webjob.NotFound {
		t.Errorf("another blob: %q, %v", text, err)
	}
	if _, err := get(t, operator, api.PathOperatorBlobs+"sha256:..%2f"); webjob.KindOf(err) != webjob.Invalid {
		t.Errorf("no digest: %v", err)
	}
}

// Withdrawing takes signatures: the request of older programs changes nothing.
func TestNobodyWithdrawsAlone(t *testing.T) {
	w := newWorld(t)
	must(t, server.Publish(t.Context(), w.server, manifestOf("job", 1, w.payload("x")), w.key))
	err := w.asOperator("olga").Call(t.Context(), http.MethodPost, api.OperatorJobPath("job", "withdraw"), nil, nil, nil)
	if webjob.KindOf(err) != webjob.Refused || !strings.Contains(err.Error(), "update webjobctl") {
		t.Errorf("got %v", err)
	}
	v, err := w.backends.Store.JobVersion(t.Context(), "job", 1)
	if err != nil || !v.WithdrawnAt.IsZero() {
		t.Errorf("version 1 is %+v, %v", v, err)
	}
}

// An index lists a version that is known, with the manifest that it has, or brings the
// manifest along.
func TestIndexListsWhatIsKnown(t *testing.T) {
	w := newWorld(t)
	payload := w.payload("x")
	must(t, server.Publish(t.Context(), w.server, manifestOf("job", 1, payload), w.key))
	must(t, server.Publish(t.Context(), w.server, manifestOf("job", 2, payload), w.key)) // its index lists version 2 alone
	first, err := w.backends.Store.JobVersion(t.Context(), "job", 1)
	must(t, err)
	second, err := w.backends.Store.JobVersion(t.Context(), "job", 2)
	must(t, err)
	list := func(versions ...trust.IndexVersion) error {
		x := trust.NewJobIndex("job")
		x.Latest, x.Versions = versions[len(versions)-1].Version, versions
		content, err := x.Encode()
		must(t, err)
		return server.Accept(t.Context(), w.server, w.key, map[string][]byte{trust.JobPath("job"): content})
	}
	both := []trust.IndexVersion{{Version: 1, Scope: webjob.ScopeCommon, Manifest: first.Manifest}, {Version: 2, Scope: webjob.ScopeCommon, Manifest: second.Manifest}}
	if err := list(append(both, trust.IndexVersion{Version: 3, Scope: webjob.ScopeCommon, Manifest: first.Manifest})...); webjob.KindOf(err) != webjob.Invalid {
		t.Errorf("a version without its manifest: %v", err)
	}
	if err := list(trust.IndexVersion{Version: 1, Scope: webjob.ScopeCommon, Manifest: second.Manifest}, both[1]); webjob.KindOf(err) != webjob.Conflict {
		t.Errorf("a version that was withdrawn, with another manifest: %v", err)
	}
	if err := list(both...); err != nil {
		t.Errorf("a version that was withdrawn: %v", err)
	}
	if v, err := w.backends.Store.JobVersion(t.Context(), "job", 1); err != nil || !v.WithdrawnAt.IsZero() {
		t.Errorf("version 1 is %+v, %v", v, err)
	}
	if err := list(both[0]); webjob.KindOf(err) != webjob.Refused {
		t.Errorf("an index that forgets version 2: %v", err)
	}
	if err := list(both[0], trust.IndexVersion{Version: 2, Scope: webjob.ScopeCommon, Manifest: first.Manifest}); webjob.KindOf(err) != webjob.Refused {
		t.Errorf("an index that changes version 2: %v", err)
	}
}
