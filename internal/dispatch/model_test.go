package dispatch

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust/trusttest"
)

// model is a small world in which anything happens in any order: two servers that share a
// store and hear nothing of each other, so that each has a cache that may be out of date;
// clients that lose answers, crash, and come back; people who sign, stop and resume.
type model struct {
	*world

	rt      *rapid.T
	servers []*Dispatcher
	clients []string
	holds   map[string]map[string]webjob.RunState // runs that a client holds
	orders  map[string]*modelOrder
	results map[string]webjob.RunState // by run
}

type modelOrder struct {
	order    *webjob.Order
	signed   map[string]bool
	starters map[string]bool // clients that were there when it was made
	closed   bool            // its window has closed
}

const modelThreshold = 2

func (m *model) server() *Dispatcher {
	return m.servers[rapid.IntRange(0, len(m.servers)-1).Draw(m.rt, "server")]
}

func (m *model) someOrder() (string, *modelOrder) {
	var ids []string
	for id := range m.orders {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		m.rt.Skip("no order")
	}
	slices.Sort(ids)
	id := rapid.SampledFrom(ids).Draw(m.rt, "order")
	return id, m.orders[id]
}

// sane are the errors that people may be told of.
func (m *model) sane(err error, kinds ...webjob.Kind) {
	m.t.Helper()
	if err != nil && !slices.Contains(kinds, webjob.KindOf(err)) {
		m.rt.Fatalf("unexpected error: %v", err)
	}
}

func (m *model) create(*rapid.T) {
	if len(m.orders) == 4 {
		m.rt.Skip("enough orders")
	}
	o := m.order(fmt.Sprint("o", len(m.orders)), func(o *webjob.Order) {
		o.Late = rapid.Bool().Draw(m.rt, "late")
		o.Canary = rapid.Int64Range(0, 2).Draw(m.rt, "canary")
		o.StopAt = rapid.SampledFrom([]int64{0, 40}).Draw(m.rt, "stop_at")
		o.Rate = rapid.SampledFrom([]int64{0, webjob.MaxRate}).Draw(m.rt, "rate")
		o.Serial = rapid.Bool().Draw(m.rt, "serial")
	})
	by := rapid.SampledFrom([][]string{{"alice"}, {"alice", "bob"}}).Draw(m.rt, "by")
	_, err := m.server().Create(m.t.Context(), Creation{Envelope: m.sign(o, by...), By: "olga"})
	m.sane(err)
	made := &modelOrder{order: o, signed: map[string]bool{}, starters: map[string]bool{}}
	for _, name := range by {
		made.signed[name] = true
	}
	for _, c := range m.clients {
		made.starters[c] = true
	}
	m.orders[o.ID] = made
}

func (m *model) approve(*rapid.T) {
	id, o := m.someOrder()
	by := rapid.SampledFrom([]string{"alice", "bob", "carol"}).Draw(m.rt, "by")
	_, err := m.server().Approve(m.t.Context(), id, m.sign(o.order, by))
	m.sane(err, webjob.Conflict)
	if err == nil {
		o.signed[by] = true
	}
}

func (m *model) stop(*rapid.T) {
	id, _ := m.someOrder()
	m.sane(m.server().Stop(m.t.Context(), id, "why", rapid.Bool().Draw(m.rt, "running")), webjob.Conflict)
}

func (m *model) resume(*rapid.T) {
	id, _ := m.someOrder()
	m.sane(m.server().Resume(m.t.Context(), id), webjob.Conflict)
}

// enrolNew adds a client; sometimes the server crashes before it looks at orders.
func (m *model) enrolNew(*rapid.T) {
	if len(m.clients) == 5 {
		m.rt.Skip("enough clients")
	}
	id := fmt.Sprint("web", len(m.clients)+1)
	m.enroll(id)
	m.clients, m.holds[id] = append(m.clients, id), map[string]webjob.RunState{}
	if rapid.Bool().Draw(m.rt, "joined") {
		m.sane(m.server().Join(m.t.Context(), id))
	}
}

// ask has a client ask for work. Its answer may be lost.
func (m *model) ask(*rapid.T) {
	client := rapid.SampledFrom(m.clients).Draw(m.rt, "client")
	m.askServer(m.server(), client, rapid.Bool().Draw(m.rt, "answer lost"))
}

func (m *model) askServer(d *Dispatcher, client string, lost bool) (offers int) {
	before := map[string]webjob.OrderStatus{}
	for id := range m.orders {
		before[id] = m.stored(id)
	}
	found := m.poll(d, client, 9, m.holds[client])
	for _, offer := range found.Offers {
		id, owner, _, _ := webjob.ParseRunID(offer.Run)
		_, held := m.holds[client][offer.Run]
		_, ended := m.results[offer.Run]
		switch o := before[id]; {
		case owner != client, held, ended:
			m.rt.Fatalf("%s got %s, which is not its own, is held (%v), or has ended (%v)", client, offer.Run, held, ended)
		case o.State != webjob.OrderOpen:
			m.rt.Fatalf("%s got %s of an order that is %s", client, offer.Run, o.State)
		case !canaryPassed(o) && m.rank(id, offer.Run) >= o.Canary:
			m.rt.Fatalf("%s got %s before the canary passed", client, offer.Run)
		}
		if !lost {
			m.holds[client][offer.Run] = webjob.RunOffered
		}
	}
	return len(found.Offers)
}

func (m *model) rank(order, run string) (rank int64) {
	_, err := m.store.OpenOrder(m.t.Context(), order, func(r webjob.OrderRun) error {
		if r.Run == run {
			rank = r.Rank
		}
		return nil
	})
	m.must(err)
	return rank
}

// work has a client go on with a run that it holds: begin it, end it, or lose it in a crash.
func (m *model) work(*rapid.T) {
	client := rapid.SampledFrom(m.clients).Draw(m.rt, "client")
	var runs []string
	for run, state := range m.holds[client] {
		if state != webjob.RunLost {
			runs = append(runs, run)
		}
	}
	if len(runs) == 0 {
		m.rt.Skip("nothing to do")
	}
	slices.Sort(runs)
	run := rapid.SampledFrom(runs).Draw(m.rt, "run")
	switch rapid.SampledFrom([]string{"begin", "succeed", "fail", "crash"}).Draw(m.rt, "and") {
	case "begin":
		m.holds[client][run] = webjob.RunRunning
	case "crash":
		m.holds[client][run] = webjob.RunLost
	case "succeed":
		m.finish(m.server(), client, run, webjob.Succeeded)
	case "fail":
		m.finish(m.server(), client, run, webjob.Failed)
	}
}

func (m *model) finish(d *Dispatcher, client, run string, outcome webjob.Outcome) {
	id, _, _, _ := webjob.ParseRunID(run)
	m.result(d, id, client, outcome)
	m.results[run] = webjob.StateOf(outcome)
	delete(m.holds[client], run)
}

// crash kills a server; its successor knows what is in the store.
func (m *model) crash(*rapid.T) {
	i := rapid.IntRange(0, len(m.servers)-1).Draw(m.rt, "server")
	m.servers[i] = m.dispatcher(m.store)
	m.must(m.servers[i].Load(m.t.Context()))
}

// clock has a server do what is due, and sometimes an order's window close.
func (m *model) clock(*rapid.T) {
	d := m.server()
	d.keepTime(m.t.Context())
	if rapid.IntRange(0, 4).Draw(m.rt, "close") > 0 {
		return
	}
	id, made := m.someOrder()
	if o := d.order(id); o != nil {
		made.closed = true
		m.must(d.expire(m.t.Context(), o))
	}
}

// Check is what always holds of the store, whatever a cache thinks.
func (m *model) Check(*rapid.T) {
	for id := range m.orders {
		stored := m.stored(id)
		signed, err := m.signers.Policy().OpenOrder(stored.Envelope)
		m.must(err)
		if stored.State == webjob.OrderOpen && len(signed.SignedBy) < modelThreshold {
			m.rt.Fatalf("order %s is open, and only %v signed it", id, signed.SignedBy)
		}
		counts := webjob.Counts{}
		runs, _, err := m.store.ListOrderRuns(m.t.Context(), id, nil, webjob.Page{Limit: 100})
		m.must(err)
		for _, r := range runs {
			counts[r.State]++
			if want, ended := m.results[r.Run]; ended && r.State != want {
				m.rt.Fatalf("run %s is %s, and its result says %s", r.Run, r.State, want)
			}
		}
		for _, state := range webjob.RunStates() {
			if counts[state] != stored.Counts[state] {
				m.rt.Fatalf("order %s counts %v and has %v", id, stored.Counts, counts)
			}
		}
		if !stored.EndedAt.IsZero() && counts[webjob.RunQueued]+counts[webjob.RunOffered] > 0 {
			m.rt.Fatalf("order %s is %s and has runs that have not ended: %v", id, stored.State, counts)
		}
	}
}

// finale: everything works from now on, and everybody signs and resumes. Then every order
// ends, or waits for those who come late, and everybody who was to run has run.
func (m *model) finale() {
	d := m.dispatcher(m.store)
	m.must(d.Load(m.t.Context()))
	for round := range 100 {
		for id, o := range m.orders {
			if m.stored(id).State == webjob.OrderStopped {
				m.must(d.Resume(m.t.Context(), id))
			}
			for _, by := range []string{"alice", "bob"} {
				if m.stored(id).State == webjob.OrderPending {
					_, err := d.Approve(m.t.Context(), id, m.sign(o.order, by))
					m.must(err)
				}
			}
		}
		work := 0
		for _, client := range m.clients {
			work += m.askServer(d, client, false)
			for run, state := range m.holds[client] {
				if state != webjob.RunLost {
					m.finish(d, client, run, webjob.Succeeded)
					work++
				}
			}
		}
		settle(m.t, d)
		for id := range m.orders { // what a client said last may have stopped one
			if state := m.stored(id).State; state == webjob.OrderStopped || state == webjob.OrderPending {
				work++
			}
		}
		if work == 0 {
			break
		}
		if round == 99 {
			m.rt.Fatalf("there is no end")
		}
	}
	for id, o := range m.orders {
		stored := m.stored(id)
		if !o.order.Late && stored.EndedAt.IsZero() {
			m.rt.Fatalf("order %s does not end: it is %s with %v", id, stored.State, stored.Counts)
		}
		if o.closed {
			continue // before all had run
		}
		for _, client := range m.clients {
			_, ran := m.results[id+"."+client]
			lost := m.holds[client][id+"."+client] == webjob.RunLost
			if (o.starters[client] || o.order.Late && stored.EndedAt.IsZero()) && !ran && !lost {
				m.rt.Fatalf("client %s was not asked by order %s, which is %s", client, id, stored.State)
			}
		}
	}
}

// TestMain has the walks made that this build has the time for, unless a flag says another
// number.
func TestMain(m *testing.M) {
	flag.Parse()
	if checks := flag.Lookup("rapid.checks").Value; checks.String() == "100" {
		_ = checks.Set(strconv.Itoa(walks)) // a number, as it takes
	}
	os.Exit(m.Run())
}

func TestOrdersInAnyInterleaving(t *testing.T) {
	signers := trusttest.New(t, modelThreshold, "alice", "bob", "carol")
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{world: newWorldFor(t, signers), rt: rt, holds: map[string]map[string]webjob.RunState{}, orders: map[string]*modelOrder{}, results: map[string]webjob.RunState{}}
		defer func() { _ = m.store.Close() }()
		m.servers = []*Dispatcher{m.dispatcher(m.store), m.dispatcher(m.store)}
		for range 2 {
			m.enrolNew(nil)
		}
		start := time.Now()
		actions := map[string]func(*rapid.T){
			"create": m.create, "approve": m.approve, "stop": m.stop, "resume": m.resume, "enrol": m.enrolNew,
			"ask": m.ask, "ask again": m.ask, "ask more": m.ask, "work": m.work, "work on": m.work, "crash": m.crash, "clock": m.clock, "": m.Check,
		}
		for name, action := range actions {
			actions[name] = func(rt *rapid.T) { m.rt = rt; action(rt) }
		}
		rt.Repeat(actions)
		m.rt = rt
		m.finale()
		if took := time.Since(start); took > offerTime/4 {
			t.Fatalf("it took %s, and offers end after %s", took, offerTime)
		}
	})
}
