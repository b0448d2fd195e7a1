package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint"
	"webjob.dev/webjob/internal/endpoint/endpointtest"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/internal/trust/trusttest"
	"webjob.dev/webjob/wire"
)

// hostile is a server in the wrong hands and an agent that asks it. Polls are answered
// with whatever the test says; the job repository is a good one.
type hostile struct {
	*Agent
	m          *machine
	client     *wire.Client
	repository *trusttest.Repository
	dir        string
	log        *bytes.Buffer

	mu       sync.Mutex
	answer   any
	requests []wire.PollRequest
	synced   int // how often the job repository was asked for
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newHostile(t *testing.T) *hostile {
	h := &hostile{m: newMachine(), repository: trusttest.New(t, 1, "alice"), dir: filepath.Join(t.TempDir(), "state"), log: &bytes.Buffer{}}
	state := endpointtest.Enrolled(t, h.dir, h.repository.Roots[0], nil, h.serve)
	settings := endpoint.DefaultSettings()
	settings.Agent.MaxRuns = 2
	var err error
	h.Agent, err = newAgent(state, settings, h.m.launch, slog.New(slog.NewTextHandler(h.log, nil)))
	must(t, err)
	h.client, err = h.connect()
	must(t, err)
	t.Cleanup(func() {
		for _, run := range h.runs.list() {
			h.m.finish(run, endKept)
		}
		h.runs.running.Wait()
	})
	return h
}

func (h *hostile) serve(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch r.URL.Path {
	case wire.PathRepository:
		h.synced++
		_ = json.NewEncoder(w).Encode(h.repository.Bundle(h.repository.Pinned(), trust.PolicyPath, trust.ClientPath(endpointtest.ID)))
	case wire.PathPoll:
		var request wire.PollRequest
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil || len(request.Known) > wire.MaxKnownRuns {
			wire.WriteProblem(w, webjob.Errorf(webjob.Invalid, "known: %d, %v", len(request.Known), err))
			return
		}
		h.requests = append(h.requests, request)
		if text, raw := h.answer.(string); raw {
			_, _ = w.Write([]byte(text))
			return
		}
		_ = json.NewEncoder(w).Encode(h.answer)
	default:
		wire.WriteProblem(w, webjob.Errorf(webjob.NotFound, "as told"))
	}
}

// ask has the agent poll once.
func (h *hostile) ask(t *testing.T, answer any) (useful bool, err error) {
	t.Helper()
	h.mu.Lock()
	h.answer = answer
	h.mu.Unlock()
	return h.poll(t.Context(), h.client)
}

func offers(n int) []wire.Offer {
	var list []wire.Offer
	for i := range n {
		list = append(list, offer(i))
	}
	return list
}

// A server that offers three hundred runs to an agent with room for two has two
// processes started, whatever it does next; and it may offer the others again.
func TestOffersMakeNoMoreProcessesThanThereIsRoomFor(t *testing.T) {
	h := newHostile(t)
	for range 3 {
		useful, err := h.ask(t, wire.PollResponse{Offers: offers(300)})
		if err != nil || useful != (len(h.requests) == 1) {
			t.Errorf("poll %d: useful %v, %v", len(h.requests), useful, err)
		}
	}
	if len(h.m.launched) != 2 {
		t.Errorf("%d processes", len(h.m.launched))
	}
	last := h.requests[len(h.requests)-1]
	if last.Free != 0 || len(last.Known) != 2 {
		t.Errorf("the server is told: free %d, known %v", last.Free, last.Known)
	}
	if lines := strings.Count(h.log.String(), "more runs than there is room for"); lines != 3 {
		t.Errorf("%d lines of log for 3 answers:\n%.2000s", lines, h.log)
	}
}

// Answers that no server has reason to give are refused as a whole, with one line, and
// nothing of them is kept.
func TestAnswersBeyondTheBoundsAreNotUsed(t *testing.T) {
	many := func(n int, item string) string { return strings.Repeat(item+",", n-1) + item }
	for name, c := range map[string]struct {
		answer any
		want   string
	}{
		"offers":                  {wire.PollResponse{Offers: offers(wire.MaxOffers + 1)}, "has 501 offers, at most 500"},
		"runs to end":             {`{"cancel":[` + many(wire.MaxKnownRuns+1, `"a.web1"`) + `],"offers":[{"run":"o1.web1"}]}`, "has 1001 runs to end"},
		"standing orders":         {`{"change":true,"standing":[` + many(wire.MaxStanding+1, `"e30="`) + `]}`, "has 1001 standing orders"},
		"a large standing order":  {wire.PollResponse{Change: true, Standing: [][]byte{make([]byte, trust.MaxEnvelopeBytes+1)}}, "a standing order of"},
		"a large ticket":          {wire.PollResponse{Ticket: strings.Repeat("x", wire.MaxTicket+1)}, "has 257 bytes of ticket"},
		"five million offers":     {`{"offers":[` + many(5_000_000, "{}") + `]}`, "more than 200000 values"},
		"five million to end":     {`{"cancel":[` + many(5_000_000, `""`) + `]}`, "more than 200000 values"},
		"more bytes than allowed": {`{"ticket":"` + strings.Repeat("x", wire.MaxResponseJSON) + `"}`, "has more than 16777216 bytes"},
	} {
		h := newHostile(t)
		useful, err := h.ask(t, c.answer)
		if useful || err == nil || !strings.Contains(err.Error(), c.want) || webjob.KindOf(err) == webjob.Refused {
			t.Errorf("%s: %v, %v", name, useful, err)
		}
		if standing, _ := h.clock.current(); len(h.m.launched) > 0 || len(standing) > 0 {
			t.Errorf("%s: something of it was used", name)
		}
		if kept, err := os.ReadFile(filepath.Join(h.dir, "get", "tickets-agent")); err != nil || strings.Contains(string(kept), "xxx") {
			t.Errorf("%s: the ticket was kept: %q, %v", name, kept, err)
		}
		if left, _ := os.ReadDir(filepath.Join(h.dir, "standing")); len(left) > 0 {
			t.Errorf("%s: %v was kept", name, left)
		}
		if h.synced > 0 {
			t.Errorf("%s: the job repository was asked for", name)
		}
	}
}

// A server that speaks of a newer job repository than it gives is not asked for it
// without end: the poll fails, and the connection backs off.
func TestVersionsThatDoNotComeBackOff(t *testing.T) {
	h := newHostile(t)
	_, err := h.ask(t, wire.PollResponse{Repository: 1 << 60, Offers: offers(1)})
	if webjob.KindOf(err) != webjob.Unavailable || !strings.Contains(err.Error(), "and gives version") || len(h.m.launched) > 0 {
		t.Errorf("%v, started %v", err, h.m.launched)
	}
}

// Whoever holds the server signs no order. Standing orders that do not verify, or that
// are for others, start nothing, have nothing got, and cost one line of log.
func TestStandingOrdersOfOthersAreLeftAlone(t *testing.T) {
	h := newHostile(t)
	at := time.Now().UTC().Truncate(time.Second)
	standing := func(on string, key *trust.PrivateKey) []byte {
		o := webjob.Order{
			Format: webjob.OrderFormat, ID: "s1", Job: "job", Version: 1, Manifest: webjob.EmptyDigest, On: on, Created: at.Add(-time.Hour), NotBefore: at.Add(-time.Hour),
			Expires: at.Add(time.Hour), Schedule: &webjob.Schedule{At: "@every 1m", Agent: true, Missed: webjob.MissedRun},
		}
		envelope, err := trust.SignOrder(&o, key)
		must(t, err)
		return envelope
	}
	var set [][]byte
	for n := range 200 {
		set = append(set, standing(fmt.Sprintf("id=other%d", n), h.repository.Keys["alice"]))
	}
	set = append(set, standing("all", trusttest.Key(t)), []byte("{}"), standing("all", h.repository.Keys["alice"]))
	_, err := h.ask(t, wire.PollResponse{Change: true, Standing: set})
	must(t, err)
	h.clock.startDue(time.Now())
	h.clock.startDue(time.Now())
	h.mu.Lock()
	defer h.mu.Unlock()
	// What strangers signed begins nothing without the process that judges it: that
	// makes the refusal which operators see.
	if len(h.m.launched) > 2 {
		t.Errorf("started %v", h.m.launched)
	}
	if len(h.clock.wanted) != 1 {
		t.Errorf("the jobs of %d orders are to be got", len(h.clock.wanted))
	}
	if lines := strings.Count(h.log.String(), "are left alone"); lines != 1 {
		t.Errorf("%d lines of log:\n%.2000s", lines, h.log)
	}
}

// A standing order that is refused makes one result for each of its times, not one each
// time the clock looks.
func TestRefusedStandingOrdersAreNotTriedAgain(t *testing.T) {
	h := newHostile(t)
	at := time.Now().UTC().Truncate(time.Second)
	o := webjob.Order{
		Format: webjob.OrderFormat, ID: "s1", Job: "job", Version: 1, Manifest: webjob.EmptyDigest, On: "all", Created: at.Add(-time.Hour), NotBefore: at.Add(-time.Hour),
		Expires: at.Add(time.Hour), Schedule: &webjob.Schedule{At: "@every 40m", Agent: true, Missed: webjob.MissedRun},
	}
	envelope, err := trust.SignOrder(&o, h.repository.Keys["alice"])
	must(t, err)
	_, err = h.ask(t, wire.PollResponse{Change: true, Standing: [][]byte{envelope}})
	must(t, err)
	for range 5 {
		h.clock.startDue(time.Now())
		for _, run := range h.runs.list() {
			h.m.finish(run, endRefused)
		}
		h.runs.running.Wait()
	}
	if len(h.m.launched) != 1 {
		t.Errorf("started %v", h.m.launched)
	}
}

// A server that takes no results does not fill the disk: from a bound on no run begins,
// also none of a standing order, until some of them are gone.
func TestFullSpoolStartsNothing(t *testing.T) {
	h := newHostile(t)
	h.settings.Agent.Spool = 1 << 20
	u := &upkeep{settings: h.settings, sp: h.sp, runs: h.runs, log: h.Agent.log}
	waiting := filepath.Join(h.dir, "spool", "w1.web1")
	must(t, os.MkdirAll(waiting, 0o700))
	must(t, os.WriteFile(filepath.Join(waiting, "stdout"), make([]byte, 1<<20+1), 0o600))
	for range 2 {
		u.measure()
	}
	if _, err := h.ask(t, wire.PollResponse{Offers: offers(2)}); err != nil || len(h.m.launched) > 0 || h.requests[0].Free != 0 {
		t.Errorf("%v, started %v", err, h.m.launched)
	}
	if got := h.runs.start(offer(9)); got != noRoom {
		t.Errorf("a standing order: %v", got)
	}
	if lines := strings.Count(h.log.String(), "until results are sent"); lines != 1 {
		t.Errorf("%d lines of log", lines)
	}
	must(t, os.RemoveAll(waiting))
	u.measure()
	if _, err := h.ask(t, wire.PollResponse{Offers: offers(2)}); err != nil || len(h.m.launched) != 2 {
		t.Errorf("with room again: %v, started %v", err, h.m.launched)
	}
}
