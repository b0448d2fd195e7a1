// Package agent stays on a machine and obeys orders: it holds one request open at
// the server, starts a process of its own for every run, keeps the time of standing
// orders, and sends what waits in the spool. It runs nothing itself and decides
// nothing about trust: the process that it starts verifies the order.
package agent

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint"
	"webjob.dev/webjob/internal/endpoint/spool"
	"webjob.dev/webjob/wire"
)

// Times between attempts. Each is spread by chance, so that agents that lost their
// server together do not come back together.
const (
	firstBackoff   = time.Second
	lastBackoff    = time.Minute
	refusedBackoff = 5 * time.Minute // of a client that is revoked or suspended
	holdBack       = 5 * time.Second
	flushInterval  = 20 * time.Second
	factsInterval  = 10 * time.Minute
	sweepInterval  = 6 * time.Hour
	renewInterval  = time.Hour
	renewRetry     = 5 * time.Minute
	killTime       = 20 * time.Second // for runs that were told to stop
)

// Agent is a running agent.
type Agent struct {
	state    *endpoint.State
	settings *endpoint.Settings
	program  string // webjob itself
	log      *slog.Logger
	sp       *spool.Spool

	mu       sync.Mutex
	children map[string]*child    // by run
	held     map[string]time.Time // runs that could not begin, and until when they are not wanted
	lost     map[string]bool      // runs to report as lost
	again    context.CancelFunc   // ends the poll under way, to ask again with what is free now
	ticket   string               // of the last poll; used by its loop alone
	renewed  bool                 // the certificate is another one than that of the connection
	full     bool                 // the poll under way said that nothing is free
	status   Status
	paused   bool
	standing [][]byte

	running sync.WaitGroup
	wake    chan struct{} // of the standing orders
}

// Run obeys orders until ctx ends, then lets runs under way end within the drain
// time and stops those that do not. It returns Conflict when another agent uses the
// state folder.
func Run(ctx context.Context, s *endpoint.State, settings *endpoint.Settings, program string, log *slog.Logger) error {
	lock := flock.New(s.Path("agent.lock"))
	locked, err := lock.TryLock()
	if err != nil {
		return webjob.Errorf(webjob.Unavailable, "lock %s: %w", lock.Path(), err)
	}
	if !locked {
		return webjob.Errorf(webjob.Conflict, "another agent uses %s; stop it, or give this one a state folder of its own", s.Dir())
	}
	defer func() { _ = lock.Unlock() }() // the process ends anyway
	if err := limit(settings.Agent); err != nil {
		return err
	}
	sp, err := s.Spool()
	if err != nil {
		return err
	}
	a := &Agent{
		state: s, settings: settings, program: program, log: log, sp: sp,
		children: map[string]*child{}, held: map[string]time.Time{}, lost: map[string]bool{}, wake: make(chan struct{}, 1),
		status: Status{PID: os.Getpid(), Version: webjob.Version(), Started: time.Now().UTC(), State: StateConnecting},
	}
	if a.standing, err = s.Standing.Read(); err != nil {
		return err
	}
	if a.ticket, err = s.Tickets.AgentTicket(); err != nil {
		return err
	}
	log.Info("agent started", "version", webjob.Version(), "state", s.Dir(), "max_runs", settings.Agent.MaxRuns)
	a.report(func(*Status) {})
	a.serve(ctx)
	a.report(func(s *Status) { s.State = StateStopped })
	log.Info("agent stopped")
	return nil
}

func (a *Agent) serve(ctx context.Context) {
	var loops sync.WaitGroup
	for _, loop := range []func(context.Context){a.pollLoop, a.flushLoop, a.keepTime, a.factsLoop, a.renewLoop} {
		loops.Go(func() { loop(ctx) })
	}
	<-ctx.Done()
	a.log.Info("agent stops", "drain", time.Duration(a.settings.Agent.Drain))
	loops.Wait()
	a.drain()
}

// drain waits for the runs under way, then tells them to stop.
func (a *Agent) drain() {
	ended := make(chan struct{})
	go func() {
		a.running.Wait()
		close(ended)
	}()
	for _, step := range []struct {
		wait time.Duration
		then func(*child)
	}{{time.Duration(a.settings.Agent.Drain), (*child).stop}, {killTime, (*child).kill}, {killTime, (*child).kill}} {
		timer := time.NewTimer(step.wait)
		select {
		case <-ended:
			timer.Stop()
			return
		case <-timer.C:
		}
		a.mu.Lock()
		for _, c := range a.children {
			step.then(c)
		}
		a.mu.Unlock()
	}
}

// pollLoop asks for work, again and again.
func (a *Agent) pollLoop(ctx context.Context) {
	var c *wire.Client
	backoff := firstBackoff
	for ctx.Err() == nil {
		var err error
		if a.takeRenewed() && c != nil {
			c.Close()
			c = nil
		}
		if c == nil {
			c, err = a.connect()
		}
		if err == nil {
			err = a.poll(ctx, c)
		}
		switch {
		case ctx.Err() != nil:
		case err == nil:
			backoff = firstBackoff
		case errors.Is(err, errAskAgain):
		default:
			wait := backoff/2 + rand.N(backoff)
			if kind := webjob.KindOf(err); kind == webjob.Refused || kind == webjob.Unauthorized {
				wait = refusedBackoff/2 + rand.N(refusedBackoff)
			}
			a.log.Warn("the server gives no work", "error", err, "again", wait.Round(time.Second))
			a.report(func(s *Status) { s.State, s.Error = StateConnecting, err.Error() })
			backoff = min(2*backoff, lastBackoff)
			c = nil // read the enrolment again: it may have been renewed
			pause(ctx, wait)
		}
	}
}

// pause waits, and returns early when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (a *Agent) connect() (*wire.Client, error) {
	e, err := a.state.Enrolments.With(endpoint.TargetGet)
	if err != nil {
		return nil, err
	}
	a.report(func(s *Status) { s.Client, s.Server = e.ID, e.URL })
	return e.Connect(), nil
}

// errAskAgain says that a poll was ended because there is something new to say.
var errAskAgain = errors.New("ask again")

// poll asks once and takes what comes.
func (a *Agent) poll(ctx context.Context, c *wire.Client) error {
	wait := time.Duration(a.settings.Agent.Wait)
	ctx, cancel := context.WithTimeout(ctx, wait+time.Minute)
	defer cancel()
	request := a.request(cancel)
	request.WaitMS = wait.Milliseconds()
	var response wire.PollResponse
	err := c.Call(ctx, http.MethodPost, wire.PathPoll, nil, request, &response)
	a.mu.Lock()
	interrupted := a.again == nil
	a.again = nil
	if err == nil {
		for run, state := range request.Known {
			if state == webjob.RunLost {
				delete(a.lost, run)
			}
		}
	}
	a.mu.Unlock()
	if err == nil && response.Ticket != "" {
		a.ticket = response.Ticket
		if err := a.state.Tickets.KeepAgentTicket(a.ticket); err != nil {
			a.log.Warn("the ticket of a poll was not kept", "error", err)
		}
	}
	if err != nil && interrupted {
		return errAskAgain
	}
	if err != nil {
		return err
	}
	if err := a.takeRepository(ctx, c, response.Repository); err != nil {
		return err
	}
	return a.take(response)
}

// request tells what this agent has.
func (a *Agent) request(cancel context.CancelFunc) wire.PollRequest {
	waiting, err := a.sp.Runs()
	if err != nil {
		a.log.Error("the spool cannot be read", "error", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.again = cancel
	known := map[string]webjob.RunState{}
	for _, run := range waiting {
		if _, _, _, ordered := webjob.ParseRunID(run); ordered && len(known) < wire.MaxKnownRuns/2 {
			known[run] = webjob.RunRunning
		}
	}
	for run := range a.children {
		known[run] = webjob.RunRunning
	}
	for run := range a.lost {
		known[run] = webjob.RunLost
	}
	for run, until := range a.held {
		if time.Now().After(until) {
			delete(a.held, run)
			continue
		}
		known[run] = webjob.RunOffered
	}
	free := max(0, a.settings.Agent.MaxRuns-int64(len(a.children)))
	a.full = free == 0 || len(a.held) > 0
	return wire.PollRequest{Free: free, Known: known, Standing: wire.StandingDigest(a.standing), Paused: a.paused, Ticket: a.ticket}
}

// askAgain ends the poll under way when the server should know what is free now.
func (a *Agent) askAgain() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.full && a.again != nil {
		a.again()
		a.again = nil
	}
}

func (a *Agent) take(response wire.PollResponse) error {
	if response.Change {
		if err := a.state.Standing.Replace(response.Standing); err != nil {
			return err
		}
		a.mu.Lock()
		a.standing = response.Standing
		a.mu.Unlock()
		a.log.Info("standing orders taken over", "orders", len(response.Standing))
	}
	a.mu.Lock()
	changed := response.Change || a.paused != response.Paused
	a.paused = response.Paused
	for _, run := range response.Cancel {
		if c := a.children[run]; c != nil {
			c.stop()
		}
	}
	a.mu.Unlock()
	a.report(func(s *Status) {
		s.State, s.Error, s.LastContact = StateConnected, "", time.Now().UTC()
		s.ClockSkewMS = time.Since(response.Time).Milliseconds()
	})
	if changed {
		a.tick()
	}
	for _, offer := range response.Offers {
		a.start(offer)
	}
	return nil
}

// takeRepository gets the job repository when the server has a newer one, before
// anything is judged with it.
func (a *Agent) takeRepository(ctx context.Context, c *wire.Client, version int64) error {
	e, err := a.state.Enrolments.With(endpoint.TargetGet)
	if err != nil {
		return err
	}
	r, err := a.state.Repository.Read(e, time.Now())
	if err != nil {
		return err
	}
	if version > r.Timestamp() || r.Fresh(time.Now()) != nil {
		if r, err = a.state.Repository.Sync(ctx, e, c); err != nil {
			return err
		}
		a.log.Info("job repository is up to date", "timestamp", r.Timestamp())
	}
	subject, err := e.Subject(r)
	if err != nil {
		return err
	}
	a.report(func(s *Status) { s.Labels, s.Repository = subject.Labels, r.Timestamp() })
	return nil
}

// start starts a run in a process of its own. One that is known is left alone.
func (a *Agent) start(offer wire.Offer) {
	if err := webjob.CheckRunID(offer.Run); err != nil {
		a.log.Warn("an offer was left alone", "error", err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.children[offer.Run] != nil {
		return
	}
	c, err := a.newChild(offer)
	if err != nil {
		a.log.Error("a run could not be started", "run", offer.Run, "error", err)
		a.hold(offer.Run)
		return
	}
	a.children[offer.Run] = c
	a.running.Go(func() {
		ended := c.wait()
		a.mu.Lock()
		delete(a.children, offer.Run)
		switch ended {
		case endAgain:
			a.hold(offer.Run)
		case endLost:
			a.lost[offer.Run] = true
			a.full = true
		}
		a.mu.Unlock()
		a.report(func(s *Status) { s.LastRun, s.LastRunEnded = offer.Run, time.Now().UTC() })
		a.askAgain()
		a.tick()
	})
}

// hold keeps a run that could not begin from being offered again for a moment; mu is
// held.
func (a *Agent) hold(run string) {
	wait := holdBack/2 + rand.N(holdBack)
	a.held[run] = time.Now().Add(wait)
	a.full = true
	time.AfterFunc(wait+10*time.Millisecond, a.askAgain)
}
