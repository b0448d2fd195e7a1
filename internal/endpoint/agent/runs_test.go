package agent

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// machine is what runs happen on, without programs: it counts them.
type machine struct {
	mu       sync.Mutex
	running  map[string]*fake
	most     int      // that were running at once
	launched []string // all that ever were
	claimed  map[string]error
	alive    map[string]bool
	broken   bool // processes cannot be started
}

// fake is a process that ends when the test says so.
type fake struct {
	run     string
	ends    chan end
	stopped int
	m       *machine
}

func newMachine() *machine {
	return &machine{running: map[string]*fake{}, claimed: map[string]error{}, alive: map[string]bool{}}
}

func (m *machine) launch(offer wire.Offer) (process, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken {
		return nil, fmt.Errorf("no more processes")
	}
	p := &fake{run: offer.Run, ends: make(chan end, 1), m: m}
	m.running[offer.Run] = p
	m.launched = append(m.launched, offer.Run)
	m.most = max(m.most, len(m.running)+len(m.alive))
	return p, nil
}

func (m *machine) Check(run string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.claimed[run]
}

func (m *machine) Alive(run string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.alive[run]
}

func (p *fake) wait() end {
	how := <-p.ends
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	delete(p.m.running, p.run)
	return how
}

func (p *fake) stop() { p.stopped++ }
func (p *fake) kill() { p.ends <- endAgain }

// finish lets a run end.
func (m *machine) finish(run string, how end) {
	m.mu.Lock()
	p := m.running[run]
	m.mu.Unlock()
	p.ends <- how
}

func (m *machine) runs(most int64) *runs {
	return newRuns(&runs{most: most, launch: m.launch, claims: m, spooled: m, log: slog.New(slog.DiscardHandler), changed: func() {}, over: func(string, end) {}})
}

func offer(n int) wire.Offer { return wire.Offer{Run: fmt.Sprintf("o%d.web1", n), Order: []byte("{}")} }

// Three hundred offers do not make more processes than the settings say. Those beyond
// are not known, so that the server may offer them again; and there is room again when
// a run has ended.
func TestOffersBeyondTheRoomAreLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		r := m.runs(2)
		counts := map[outcome]int{}
		for n := range 300 {
			counts[r.offered(offer(n))]++
		}
		if counts[started] != 2 || counts[noRoom] != 298 || m.most != 2 {
			t.Errorf("outcomes %v, %d processes at once", counts, m.most)
		}
		if free, known := r.report(nil); free != 0 || len(known) != 2 {
			t.Errorf("free %d, known %v", free, known)
		}
		m.finish("o0.web1", endKept)
		synctest.Wait()
		if free, known := r.report(nil); free != 1 || len(known) != 1 {
			t.Errorf("after one has ended: free %d, known %v", free, known)
		}
		if got := r.offered(offer(7)); got != started {
			t.Errorf("one that was beyond the room, again: %v", got)
		}
		m.finish("o1.web1", endKept)
		m.finish("o7.web1", endKept)
	})
}

// An offer of a run that is known starts nothing: one that goes on, that goes on since an
// agent before this one, that could not begin a moment ago, that is claimed or lost.
func TestKnownRunsAreNotStartedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.alive["o1.web1"], m.claimed["o2.web1"], m.claimed["o3.web1"] = true, endpoint.ErrHeld, endpoint.ErrLost
		r := m.runs(10)
		r.inherit([]string{"o1.web1", "018f8c3e-0000-7000-8000-000000000000"})
		r.offered(offer(0))
		r.offered(offer(4))
		m.finish("o4.web1", endAgain)
		synctest.Wait()
		for range 3 {
			for n := range 5 {
				if got := r.offered(offer(n)); got != known {
					t.Errorf("offer %d: %v", n, got)
				}
			}
		}
		if len(m.launched) != 2 {
			t.Errorf("started: %v", m.launched)
		}
		_, knows := r.report(nil)
		if knows["o3.web1"] != webjob.RunLost || knows["o4.web1"] != webjob.RunOffered {
			t.Errorf("known: %v", knows)
		}
		r.reported(knows)
		if _, knows := r.report(nil); knows["o3.web1"] != "" {
			t.Error("what the server has heard is said again")
		}
		time.Sleep(2 * holdBack)
		if got := r.offered(offer(4)); got != started {
			t.Errorf("a run that could not begin, later: %v", got)
		}
		m.finish("o0.web1", endKept)
		m.finish("o4.web1", endKept)
	})
}

// Runs of an agent that was killed take room as long as they go on.
func TestInheritedRunsTakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.alive["o1.web1"], m.alive["o2.web1"] = true, true
		r := m.runs(3)
		r.inherit([]string{"o1.web1", "o2.web1", "o3.web1"})
		for n := range 20 {
			r.offered(offer(n + 10))
		}
		if m.most != 3 {
			t.Errorf("%d runs at once", m.most)
		}
		m.mu.Lock()
		delete(m.alive, "o1.web1")
		m.mu.Unlock()
		if left := r.disinherit(); left != 1 {
			t.Errorf("%d go on", left)
		}
		if free, _ := r.report(nil); free != 1 {
			t.Errorf("free %d", free)
		}
		m.finish("o10.web1", endKept)
	})
}

// A server whose offers come to nothing, as forged ones do, soon gets few started, and is
// heard again when it is mended; standing orders go on.
func TestOffersInVainAreLeftAlone(t *testing.T) {
	for _, ends := range [][]end{{endRefused}, {endAgain}, {endLost}, {endRefused, endAgain, endLost}} {
		synctest.Test(t, func(t *testing.T) {
			m := newMachine()
			r := m.runs(4)
			n, begin := 0, time.Now()
			for time.Since(begin) < 10*time.Minute {
				for range 50 {
					n++
					if o := offer(n); r.offered(o) == started {
						m.finish(o.Run, ends[n%len(ends)])
					}
				}
				synctest.Wait()
				_, knows := r.report(nil)
				if len(knows) > maxHeld+maxLost {
					t.Fatalf("%v: %d runs are remembered", ends, len(knows))
				}
				r.reported(knows)
				time.Sleep(100 * time.Millisecond)
			}
			if len(m.launched) > 1000 || len(m.launched) < 100 { // 8 for each pause, and what ends together
				t.Errorf("%v: %d processes in ten minutes", ends, len(m.launched))
			}
			for n++; r.offered(offer(n)) == started && n < 1_000_000; n++ { // until none is taken
				m.finish(offer(n).Run, ends[0])
				synctest.Wait()
			}
			if got := r.start(wire.Offer{Run: "standing.web1"}); got != started {
				t.Errorf("%v: a standing order: %v", ends, got)
			}
			m.finish("standing.web1", endKept)
			time.Sleep(time.Minute)
			if got := r.offered(offer(n)); got != started {
				t.Errorf("%v: later: %v", ends, got)
			}
			m.finish(offer(n).Run, endKept)
		})
	}
}

// Runs that are lost are remembered until the server has heard of them, and so many at
// the most.
func TestLostRunsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		r := m.runs(1)
		r.offered(offer(-1)) // found lost by its process, without a claim: the folder was restored
		m.finish("o-1.web1", endLost)
		synctest.Wait()
		if got := r.offered(offer(-1)); got != known {
			t.Errorf("again: %v", got)
		}
		for n := range 10_000 {
			m.claimed[offer(n).Run] = endpoint.ErrLost
			if got := r.offered(offer(n)); got != known {
				t.Fatalf("offer %d: %v", n, got)
			}
		}
		if _, knows := r.report(nil); len(knows) != maxLost {
			t.Errorf("%d are known", len(knows))
		}
		if len(m.launched) != 1 {
			t.Errorf("%d processes", len(m.launched))
		}
	})
}

// A machine that can start no processes, or whose spool is full, remembers no more
// offers for it.
func TestNothingIsHeapedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.broken = true
		r := m.runs(500)
		for n := range 10_000 {
			r.offered(offer(n))
		}
		if free, knows := r.report(nil); free != 0 || len(knows) > maxHeld {
			t.Errorf("free %d, %d known", free, len(knows))
		}
		time.Sleep(time.Minute)
		m.broken = false
		r.setSpoolFull(true)
		if got := r.offered(offer(0)); got != noRoom {
			t.Errorf("with a full spool: %v", got)
		}
		r.setSpoolFull(false)
		if got := r.offered(offer(0)); got != started {
			t.Errorf("with room in the spool again: %v", got)
		}
		m.finish("o0.web1", endKept)
	})
}

// What a server may be told is bounded by what it takes.
func TestReportIsBounded(t *testing.T) {
	m := newMachine()
	r := m.runs(500)
	var waiting []string
	for n := range 5000 {
		waiting = append(waiting, fmt.Sprintf("w%d.web1", n))
	}
	for n := range 600 {
		r.offered(offer(n))
	}
	free, knows := r.report(waiting)
	if free != 0 || len(knows) != wire.MaxKnownRuns || knows["o499.web1"] != webjob.RunRunning {
		t.Errorf("free %d, %d known", free, len(knows))
	}
	for n := range 500 {
		m.finish(fmt.Sprintf("o%d.web1", n), endKept)
	}
	r.running.Wait()
}

// Offers that are not what they should be do not reach a process.
func TestUnusableOffers(t *testing.T) {
	m := newMachine()
	r := m.runs(4)
	for _, o := range []wire.Offer{
		{},
		{Run: "../../x"},
		{Run: "o1.web1\n"},
		{Run: strings.Repeat("x", 1<<20)},
		{Run: "o1.web1", Order: make([]byte, trust.MaxEnvelopeBytes+1)},
	} {
		if got := r.offered(o); got != unusable || len(m.launched) > 0 {
			t.Errorf("offer %.40q: %v", o.Run, got)
		}
	}
}

// A run is told to stop once, however often the server says so.
func TestRunsAreStoppedOnce(t *testing.T) {
	m := newMachine()
	r := m.runs(1)
	r.offered(offer(0))
	if !r.stop("o0.web1") || r.stop("o0.web1") || r.stop("o1.web1") || m.running["o0.web1"].stopped != 1 {
		t.Errorf("it was told to stop %d times", m.running["o0.web1"].stopped)
	}
	m.finish("o0.web1", endKept)
	r.running.Wait()
}

// TestBoundsHoldInAnyOrder walks whatever a server, a clock and ends of runs can do.
func TestBoundsHoldInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine()
		most := rapid.IntRange(1, 5).Draw(t, "max_runs")
		r := m.runs(int64(most))
		for range rapid.IntRange(0, most).Draw(t, "inherited") {
			run := fmt.Sprintf("i%d.web1", len(m.alive))
			m.alive[run] = true
			r.inherit([]string{run})
		}
		t.Repeat(map[string]func(*rapid.T){
			"offers": func(t *rapid.T) {
				for range rapid.IntRange(1, 20).Draw(t, "offers") {
					r.offered(offer(rapid.IntRange(0, 30).Draw(t, "run")))
				}
			},
			"standing": func(t *rapid.T) { r.start(offer(rapid.IntRange(0, 30).Draw(t, "run"))) },
			"end": func(t *rapid.T) {
				running := r.list()
				if len(running) == 0 {
					t.Skip("nothing runs")
				}
				run := rapid.SampledFrom(running).Draw(t, "run")
				m.mu.Lock()
				p := m.running[run]
				m.mu.Unlock()
				if p != nil {
					select {
					case p.ends <- rapid.SampledFrom([]end{endKept, endRefused, endAgain, endLost}).Draw(t, "how"):
					default: // it is ending
					}
				}
			},
			"poll": func(t *rapid.T) {
				free, knows := r.report(nil)
				if free < 0 || free > int64(most) || len(knows) > most+maxHeld+maxLost {
					t.Fatalf("free %d, %d known", free, len(knows))
				}
			},
			"": func(t *rapid.T) {
				m.mu.Lock()
				defer m.mu.Unlock()
				if m.most > most {
					t.Fatalf("%d runs at once; at most %d", m.most, most)
				}
			},
		})
		for len(r.list()) > 0 {
			m.mu.Lock()
			for _, p := range m.running {
				select {
				case p.ends <- endKept:
				default:
				}
			}
			m.mu.Unlock()
		}
		r.running.Wait()
	})
}

// A server that answers at once with nothing is asked ever more slowly; one that has
// work, or that waits, is not.
func TestPace(t *testing.T) {
	var p pace
	asked := 0
	for at := time.Duration(0); at < 10*time.Minute; asked++ {
		at += p.after(false, time.Millisecond) + time.Millisecond
	}
	if asked > 200 || asked < 30 {
		t.Errorf("asked %d times in ten minutes", asked)
	}
	if wait := p.after(true, time.Millisecond); wait != 0 {
		t.Errorf("with work: %s", wait)
	}
	p.after(false, time.Millisecond)
	if wait := p.after(false, soon); wait != 0 || p.idle != 0 {
		t.Errorf("after a wait: %s", wait)
	}
}
