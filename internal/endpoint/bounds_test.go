package endpoint_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint"
)

// genuine has the server answer with what was published.
func (h *hostileServer) genuine() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bundle = h.Everything(h.Pinned().Have())
	h.manifest, h.payload = h.manifests[hostileVersions-1], h.payloads[hostileVersions-1]
}

func (h *hostileServer) pull() (*endpoint.Ran, error) {
	settings := endpoint.DefaultSettings()
	settings.PutLimit = settings.GetLimit / 1000
	return endpoint.Run(h.t.Context(), h.state, settings, endpoint.Request{Job: "job", Arguments: []string{"pulled"}})
}

// What a server hands to a job is bounded, is not taken apart, and is an object.
func TestDataForRunsAreBounded(t *testing.T) {
	for name, c := range map[string]struct{ begin, want string }{
		"an object":       {`{"data":{"hook":{"a":[1,2]}}}`, ""},
		"nothing":         {`{"data":null}`, ""},
		"a list":          {`{"data":["a"]}`, "are no JSON object"},
		"too much":        {`{"data":{"a":"` + strings.Repeat("x", 5<<20) + `"}}`, "at most 4194304"},
		"too many values": {`{"data":{"a":[` + strings.Repeat("[],", 1_000_000) + `[]]}}`, "more than 200000 values"},
	} {
		h := newHostileServer(t)
		h.genuine()
		h.begin = c.begin
		ran, err := h.pull()
		switch {
		case c.want == "":
			if err != nil || ran.Refused != nil || len(h.ran()) != 1 {
				t.Errorf("%s: %v, ran %q", name, err, h.ran())
			}
		case err == nil && ran.Refused != nil:
			err = ran.Refused
			fallthrough
		default:
			if err == nil || !strings.Contains(err.Error(), c.want) || len(h.ran()) != 0 {
				t.Errorf("%s: %v, ran %q", name, err, h.ran())
			}
		}
	}
}

// A bundle of very many small values would be small on the wire and large in memory.
func TestWideBundlesAreRefused(t *testing.T) {
	h := newHostileServer(t)
	h.genuine()
	h.wide = true
	ran, err := h.pull()
	if err != nil || ran.Refused == nil || !strings.Contains(ran.Refused.Error(), "more than 200000 values") {
		t.Errorf("%+v, %v", ran, err)
	}
}

// Of one order that recurs, a server can make up a run for every moment. These are
// refused, and leave nothing behind but results, whose number is bounded.
func TestMadeUpTimesLeaveNothingBehind(t *testing.T) {
	w := newOrderWorld(t)
	recurs := func(o *webjob.Order) {
		o.Schedule = &webjob.Schedule{At: "30 4 * * *", Missed: webjob.MissedSkip}
	}
	made := w.offer(recurs)
	for n := range 20 {
		offer := made
		offer.At = time.Now().UTC().Truncate(time.Second).Add(-time.Duration(n) * 61 * time.Second)
		o := webjob.Order{ID: "o1", Schedule: &webjob.Schedule{}}
		offer.Run = o.RunID("web1", offer.At)
		ran, err := w.run(offer)
		if err != nil || ran.Refused == nil {
			t.Fatalf("%s: %+v, %v", offer.Run, ran, err)
		}
	}
	if left, _ := os.ReadDir(filepath.Join(w.dir, "claims")); len(left) > 0 {
		t.Errorf("%d runs are claimed", len(left))
	}
}

// When a server takes no results, refusals do not fill the spool.
func TestRefusalsAreBounded(t *testing.T) {
	w := newOrderWorld(t)
	sp := filepath.Join(w.dir, "spool")
	for n := range 1000 {
		must(t, os.MkdirAll(filepath.Join(sp, fmt.Sprintf("w%d.web1", n)), 0o700))
	}
	stranger := w.offer(func(o *webjob.Order) { o.On = "env=stage" }) // genuine, for others
	for name, offer := range map[string]func() error{
		"forged":      func() error { o := stranger; o.Run, o.Order = "x1.web1", []byte("{}"); _, err := w.run(o); return err },
		"for another": func() error { _, err := w.run(stranger); return err },
	} {
		if err := offer(); err == nil {
			t.Errorf("%s was kept", name)
		}
	}
	if waiting, _ := os.ReadDir(sp); len(waiting) > 1000 {
		t.Errorf("%d results wait", len(waiting))
	}
}
