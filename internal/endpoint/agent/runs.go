package agent

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// Bounds of what a server can have this agent remember and do. Beside them at most
// max_runs processes run.
const (
	maxHeld            = 100 // runs that could not begin
	maxLost            = 100 // runs to report as lost
	mostFailures       = 8   // offers in a row that came to nothing, after which none is taken for a while
	firstOffersBackoff = time.Second
	lastOffersBackoff  = 10 * time.Second
	holdBack           = 5 * time.Second // for a run that could not begin
)

// process is one run under way.
type process interface {
	wait() end
	stop() // ends the run, which keeps its result; does not wait
	kill()
}

// underway is a run that has a process here.
type underway struct {
	process
	stopped bool // was told to stop
}

// runs are the processes of runs, and what there is to say of runs to the server. Here,
// and not where offers come from, is decided how many there may be at once.
type runs struct {
	most    int64 // at once
	launch  func(wire.Offer) (process, error)
	claims  interface{ Check(run string) error }
	spooled interface{ Alive(run string) bool }
	log     *slog.Logger
	changed func()                    // the server may be asked again
	over    func(run string, how end) // a run has ended

	mu        sync.Mutex
	children  map[string]*underway
	inherited map[string]bool      // runs of an agent before this one that still go on
	held      map[string]time.Time // runs that could not begin, and until when they are not wanted
	lost      map[string]bool      // runs to report as lost
	failures  int                  // offers in a row that came to nothing
	backoff   time.Duration        // for how long offers were left alone last
	backUntil time.Time            // offers are left alone until then
	full      bool                 // the server was told that there is no room, or should hear something new
	spoolFull bool

	running sync.WaitGroup
}

func newRuns(r *runs) *runs {
	r.children, r.inherited = map[string]*underway{}, map[string]bool{}
	r.held, r.lost = map[string]time.Time{}, map[string]bool{}
	return r
}

// inherit takes over the runs of an agent that was killed: they count as long as they go
// on.
func (r *runs) inherit(waiting []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, run := range waiting {
		if isOrdered(run) && r.spooled.Alive(run) {
			r.inherited[run] = true
		}
	}
}

// disinherit forgets the inherited runs that have ended, and returns how many go on.
func (r *runs) disinherit() int {
	r.mu.Lock()
	before := len(r.inherited)
	for run := range r.inherited {
		if !r.spooled.Alive(run) {
			delete(r.inherited, run)
		}
	}
	after := len(r.inherited)
	r.mu.Unlock()
	if after < before {
		r.changed()
	}
	return after
}

func isOrdered(run string) bool {
	_, _, _, ordered := webjob.ParseRunID(run)
	return ordered
}

// outcome is what became of an offer.
type outcome int

const (
	started outcome = iota
	known           // it runs, or its result waits
	noRoom          // it may be offered again
	unusable
)

// offered is start for an offer of the server, which is left alone while the server's
// offers come to nothing.
func (r *runs) offered(offer wire.Offer) outcome {
	r.mu.Lock()
	backOff := time.Now().Before(r.backUntil)
	r.mu.Unlock()
	if backOff {
		return noRoom
	}
	return r.start(offer)
}

// start starts a run in a process of its own when there is room for it and it is new.
func (r *runs) start(offer wire.Offer) outcome {
	if check(offer) != nil {
		return unusable
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.children[offer.Run] != nil || r.inherited[offer.Run] || r.lost[offer.Run] || time.Now().Before(r.held[offer.Run]):
		return known
	case r.room() <= 0:
		return noRoom
	}
	switch err := r.claims.Check(offer.Run); {
	case errors.Is(err, endpoint.ErrLost):
		r.lose(offer.Run)
		return known
	case errors.Is(err, endpoint.ErrHeld):
		return known
	case err != nil:
		r.log.Warn("a run cannot begin now", "run", offer.Run, "error", err)
		return noRoom
	}
	p, err := r.launch(offer)
	if err != nil {
		r.log.Error("a run could not be started", "run", offer.Run, "error", err)
		r.hold(offer.Run)
		return known
	}
	r.children[offer.Run] = &underway{process: p}
	r.running.Go(func() {
		how := p.wait()
		r.ended(offer.Run, how)
		r.over(offer.Run, how)
	})
	return started
}

// check judges what can be seen of an offer from outside.
func check(offer wire.Offer) error {
	if len(offer.Order) > trust.MaxEnvelopeBytes {
		return webjob.Errorf(webjob.TooLarge, "the order of run %.80q has %d bytes; at most %d", offer.Run, len(offer.Order), trust.MaxEnvelopeBytes)
	}
	return webjob.CheckRunID(offer.Run)
}

// ended notes how a run ended.
func (r *runs) ended(run string, how end) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.children, run)
	switch how {
	case endKept:
		r.failures, r.backoff = 0, 0
		return
	case endAgain:
		r.hold(run)
	case endLost:
		r.lose(run)
	}
	if r.failures++; r.failures >= mostFailures {
		r.failures = 0
		r.backoff = min(max(2*r.backoff, firstOffersBackoff), lastOffersBackoff)
		r.backOff(r.backoff)
		r.log.Warn("the server's offers come to nothing; no more are taken for a while", "again", r.backoff)
	}
}

// lose has a run reported as lost; mu is held.
func (r *runs) lose(run string) {
	if len(r.lost) < maxLost {
		r.lost[run] = true
	}
	r.full = true
}

// hold keeps a run that could not begin from being offered again for a moment; mu is
// held.
func (r *runs) hold(run string) {
	wait := holdBack/2 + rand.N(holdBack)
	if len(r.held) >= maxHeld {
		r.backOff(wait)
		return
	}
	r.held[run] = time.Now().Add(wait)
	r.askIn(wait)
}

// backOff leaves the server's offers alone for a while; mu is held.
func (r *runs) backOff(wait time.Duration) {
	r.backUntil = time.Now().Add(wait)
	r.askIn(wait)
}

// askIn has the server asked again after a while; mu is held.
func (r *runs) askIn(wait time.Duration) {
	r.full = true
	time.AfterFunc(wait+10*time.Millisecond, func() { r.changed() })
}

// room returns how many more runs may begin now; mu is held.
func (r *runs) room() int64 {
	if r.spoolFull {
		return 0
	}
	return max(0, r.most-int64(len(r.children)+len(r.inherited)))
}

// hasRoom reports whether a run may begin now.
func (r *runs) hasRoom() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.room() > 0
}

// setSpoolFull says whether results wait in such number that no run may begin.
func (r *runs) setSpoolFull(full bool) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed = r.spoolFull != full
	r.spoolFull = full
	return changed
}

// isHeld reports whether a run could not begin a moment ago.
func (r *runs) isHeld(run string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Before(r.held[run])
}

// report returns what the server is told: how many more runs may begin, and which are
// known. Waiting are the runs in the spool.
func (r *runs) report(waiting []string) (free int64, known map[string]webjob.RunState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	free, known = r.room(), map[string]webjob.RunState{}
	if time.Now().Before(r.backUntil) {
		free = 0
	}
	for run := range r.children {
		known[run] = webjob.RunRunning
	}
	for run := range r.lost {
		known[run] = webjob.RunLost
	}
	for run, until := range r.held {
		if time.Now().After(until) {
			delete(r.held, run)
			continue
		}
		known[run] = webjob.RunOffered
	}
	// A run that has no place here and is offered again is found to be claimed.
	for _, run := range waiting {
		if isOrdered(run) && known[run] == "" && len(known) < wire.MaxKnownRuns {
			known[run] = webjob.RunRunning
		}
	}
	r.full = free == 0 || len(r.held) > 0
	return free, known
}

// reported forgets the lost runs that the server has heard of.
func (r *runs) reported(known map[string]webjob.RunState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for run, state := range known {
		if state == webjob.RunLost {
			delete(r.lost, run)
		}
	}
}

// haveNews reports whether the server should hear what is free now.
func (r *runs) haveNews() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.full
}

// stop ends a run that goes on here, and reports whether that was new to it.
func (r *runs) stop(run string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.children[run]
	if p == nil || p.stopped {
		return false
	}
	p.stopped = true
	p.stop()
	return true
}

// each calls do for every process.
func (r *runs) each(do func(process)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.children {
		do(p)
	}
}

// list returns the runs under way.
func (r *runs) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := []string{}
	for run := range r.children {
		list = append(list, run)
	}
	return list
}
