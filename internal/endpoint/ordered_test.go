package endpoint_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint"
	"webjob.dev/webjob/internal/endpoint/endpointtest"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/internal/trust/trusttest"
	"webjob.dev/webjob/wire"
)

// orderWorld is an enrolled client and a server that answers every request for a job
// with a status.
type orderWorld struct {
	t          *testing.T
	state      *endpoint.State
	dir        string
	key        *trust.PrivateKey
	repository *trusttest.Repository
	silent     bool // the job repository cannot be had
	status     int
	paths      []string // that it was asked for
}

func newOrderWorld(t *testing.T) *orderWorld {
	t.Helper()
	w := &orderWorld{t: t, dir: filepath.Join(t.TempDir(), "state"), status: http.StatusNotFound}
	w.repository = trusttest.New(t, 1, "alice")
	w.key = w.repository.Keys["alice"]
	w.state = endpointtest.Enrolled(t, w.dir, w.repository.Roots[0], webjob.Labels{"env": "prod"}, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == wire.PathRepository && w.silent {
			wire.WriteProblem(rw, webjob.Errorf(webjob.Unavailable, "as told"))
			return
		}
		if r.URL.Path == wire.PathRepository {
			must(t, json.NewEncoder(rw).Encode(w.repository.Bundle(w.repository.Pinned(), trust.PolicyPath, trust.ClientPath("web1"))))
			return
		}
		w.paths = append(w.paths, r.URL.Path)
		wire.WriteProblem(rw, webjob.Errorf(map[int]webjob.Kind{404: webjob.NotFound, 503: webjob.Unavailable}[w.status], "as told"))
	})
	return w
}

func (w *orderWorld) offer(change func(*webjob.Order), keys ...*trust.PrivateKey) wire.Offer {
	w.t.Helper()
	at := time.Now().UTC().Truncate(time.Second)
	o := webjob.Order{
		Format: webjob.OrderFormat, ID: "o1", Job: "job", Version: 1, Manifest: webjob.EmptyDigest, On: "env=prod", Created: at, NotBefore: at, Expires: at.Add(time.Hour),
	}
	change(&o)
	if keys == nil {
		keys = []*trust.PrivateKey{w.key}
	}
	envelope, err := trust.SignOrder(&o, keys...)
	must(w.t, err)
	return wire.Offer{Run: o.RunID("web1", time.Time{}), Order: envelope}
}

func (w *orderWorld) run(offer wire.Offer) (*endpoint.Ran, error) {
	settings := endpoint.DefaultSettings()
	return endpoint.RunOffer(w.t.Context(), w.state, settings, offer)
}

func same(*webjob.Order) {}

// What a server gives out that nobody signed never runs and is never asked for. Where
// it names a run of this client, operators get to see why.
func TestForgedOffersLeadToNothing(t *testing.T) {
	w := newOrderWorld(t)
	stranger, err := trust.GenerateKey(trust.Ed25519)
	must(t, err)
	good := w.offer(same)
	for name, c := range map[string]struct {
		offer wire.Offer
		told  bool
	}{
		"signed by a stranger":   {w.offer(func(o *webjob.Order) { o.ID = "o3" }, stranger), true},
		"not an envelope":        {wire.Offer{Run: "o4.web1", Order: []byte("{}")}, true},
		"an edited order":        {wire.Offer{Run: "o5.web1", Order: []byte(strings.Replace(string(good.Order), `"payload":"`, `"payload":"A`, 1))}, true},
		"a manifest's signature": {wire.Offer{Run: "o6.web1", Order: []byte(strings.Replace(string(good.Order), "order.v1", "job.v1", 1))}, true},
		"forged, for another":    {wire.Offer{Run: "o7.web2", Order: []byte("{}")}, false},
		"another client's run":   {wire.Offer{Run: "o1.web2", Order: good.Order}, false},
		"another order's run":    {wire.Offer{Run: "o2.web1", Order: good.Order}, false},
		"a time without one":     {wire.Offer{Run: "o1.20260301T120000.web1", Order: good.Order}, false},
		"a run id with a path":   {wire.Offer{Run: "../../x", Order: good.Order}, false},
	} {
		ran, err := w.run(c.offer)
		switch {
		case !c.told && err == nil:
			t.Errorf("%s led to a result: %+v", name, ran.Record)
		case c.told && (err != nil || ran.Refused == nil || ran.Record.Outcome != webjob.RunRefused || len(ran.Record.Parts) != 0):
			t.Errorf("%s: got %+v, %v", name, ran, err)
		}
	}
	for _, folder := range []string{"claims", "work"} {
		if left, _ := os.ReadDir(filepath.Join(w.dir, folder)); len(left) > 0 {
			t.Errorf("%s holds %v", folder, left)
		}
	}
	for _, path := range w.paths {
		if path != wire.PathResults {
			t.Errorf("the server was asked for %s", path)
		}
	}
}

// A signed order that is not for now, or not for this client, is refused, and that is
// a result.
func TestOrdersOutOfPlaceAreRefused(t *testing.T) {
	for want, change := range map[string]func(*webjob.Order){
		"begins at": func(o *webjob.Order) { o.NotBefore = o.NotBefore.Add(30 * time.Minute) },
		"expired at": func(o *webjob.Order) {
			o.NotBefore = o.NotBefore.Add(-48 * time.Hour)
			o.Expires = o.Created.Add(-24 * time.Hour)
		},
		"the wrong client": func(o *webjob.Order) { o.On = "env=stage" },
	} {
		w := newOrderWorld(t)
		ran, err := w.run(w.offer(change))
		must(t, err)
		if ran.Refused == nil || ran.Record.Outcome != webjob.RunRefused || !strings.Contains(ran.Record.Reason, want) || ran.Record.Order != "o1" {
			t.Errorf("%s: got %+v", want, ran.Record)
		}
	}
}

// Labels that the server makes up widen nothing: those that were signed count.
func TestSignedLabelsDecide(t *testing.T) {
	w := newOrderWorld(t)
	stage, err := trust.EncodeLabels(webjob.Labels{"env": "stage"})
	must(t, err)
	w.repository.Change(map[string][]byte{trust.ClientPath("web1"): stage})
	ran, err := w.run(w.offer(same))
	must(t, err)
	if ran.Refused == nil || !strings.Contains(ran.Record.Reason, "this is client web1 (env=stage)") {
		t.Errorf("got %+v", ran.Record)
	}
}

// Without a fresh policy nothing new is obeyed: a server that hides a newer one gains
// nothing. What had been signed off before does not help it either.
func TestNoFreshPolicyNoRun(t *testing.T) {
	w := newOrderWorld(t)
	w.silent = true
	if ran, err := w.run(w.offer(same)); webjob.KindOf(err) != webjob.Unavailable {
		t.Errorf("without any policy: %+v, %v", ran, err)
	}
	// One that was good two days ago is no better.
	old := time.Now().Add(-48 * time.Hour)
	w.repository.Now = old
	w.repository.Change(map[string][]byte{trust.ClientPath("web2"): []byte(`{"labels":{}}`)})
	seen, err := w.repository.Pinned().Update(w.repository.Bundle(w.repository.Pinned(), trust.PolicyPath, trust.ClientPath("web1")), old)
	must(t, err)
	e, err := w.state.Enrolments.With(endpoint.TargetGet)
	must(t, err)
	must(t, w.state.Repository.Keep(e, seen))
	if ran, err := w.run(w.offer(same)); webjob.KindOf(err) != webjob.Unavailable {
		t.Errorf("with an old policy: %+v, %v", ran, err)
	}
	if len(w.paths) > 0 || w.state.Claims.Has("o1.web1") {
		t.Errorf("it went on to %v", w.paths)
	}
}

// A run happens at most once, whatever the server says and whatever is left of it.
func TestRunsOfOrdersHappenOnce(t *testing.T) {
	w := newOrderWorld(t)
	w.status = http.StatusServiceUnavailable
	if _, err := w.run(w.offer(same)); webjob.KindOf(err) != webjob.Unavailable {
		t.Fatalf("a server that is away: %v", err)
	}
	w.status = http.StatusNotFound // nothing had begun, so it may be tried again
	ran, err := w.run(w.offer(same))
	must(t, err)
	if ran.Record.Outcome != webjob.NotStarted || ran.PutError == nil {
		t.Fatalf("got %+v", ran)
	}
	if _, err := w.run(w.offer(same)); !errors.Is(err, endpoint.ErrHeld) {
		t.Errorf("while its result waits: %v", err)
	}
	must(t, os.RemoveAll(filepath.Join(w.dir, "spool")))
	if _, err := w.run(w.offer(same)); !errors.Is(err, endpoint.ErrLost) {
		t.Errorf("when nothing of it is left: %v", err)
	}
	// The note is kept beyond the order's end, for clocks that go back, but not for good.
	must(t, w.state.Sweep(time.Now().Add(20*24*time.Hour)))
	if !w.state.Claims.Has("o1.web1") {
		t.Error("the note is gone too early")
	}
	must(t, w.state.Sweep(time.Now().Add(60*24*time.Hour)))
	if w.state.Claims.Has("o1.web1") {
		t.Error("the note is kept for good")
	}
}

// A state folder that was restored from a backup has forgotten the runs since. Orders
// from before it was found do not run; later ones do.
func TestRestoredStateRunsNothingTwice(t *testing.T) {
	w := newOrderWorld(t)
	past := func(o *webjob.Order) {
		o.Created = o.Created.Add(-time.Minute)
		o.NotBefore = o.Created
	}
	if _, err := w.run(w.offer(func(o *webjob.Order) { o.ID = "o0" })); err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(t.TempDir(), "backup")
	must(t, os.CopyFS(backup, os.DirFS(w.dir)))
	ran, err := w.run(w.offer(past))
	must(t, err)
	if ran.Record.Outcome != webjob.NotStarted {
		t.Fatalf("got %+v", ran.Record)
	}
	must(t, os.RemoveAll(w.dir))
	must(t, os.CopyFS(w.dir, os.DirFS(backup)))
	must(t, os.Chmod(w.dir, 0o700))
	if w.state.Claims.Has("o1.web1") {
		t.Fatal("the backup knows of the run; the test shows nothing")
	}
	for range 2 {
		if ran, err := w.run(w.offer(past)); !errors.Is(err, endpoint.ErrLost) {
			t.Errorf("an order from before: %+v, %v", ran, err)
		}
	}
	later := func(o *webjob.Order) {
		o.ID, o.Created = "o2", time.Now().UTC().Add(2*time.Second).Truncate(time.Second)
		o.Expires = o.Created.Add(time.Hour)
	}
	if _, err := w.run(w.offer(later)); err != nil {
		t.Errorf("a later order: %v", err)
	}
}
