// Package agent stays on a machine and obeys orders: it holds one request open at
// the server, starts a process of its own for every run, keeps the time of standing
// orders, and sends what waits in the spool. It runs nothing itself and decides
// nothing about trust: the process that it starts verifies the order.
package agent

import (
	"context"
	"log/slog"
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
	firstBackoff    = time.Second
	lastBackoff     = time.Minute
	refusedBackoff  = 5 * time.Minute // of a client that is revoked or suspended
	flushInterval   = 20 * time.Second
	measureInterval = 20 * time.Second
	factsInterval   = 10 * time.Minute
	sweepInterval   = 6 * time.Hour
	renewInterval   = time.Hour
	renewRetry      = 5 * time.Minute
	killTime        = 20 * time.Second // for runs that were told to stop
)

// Agent is a running agent: the connection over which it is given work, and what that
// work goes to.
type Agent struct {
	state    *endpoint.State
	settings *endpoint.Settings
	log      *slog.Logger
	sp       *spool.Spool
	runs     *runs
	clock    *clock
	board    *board

	mu      sync.Mutex
	again   context.CancelFunc // ends the poll under way, to ask again with what is free now
	renewed bool               // the certificate is another one than that of the connection
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
	l := &launcher{program: program, dir: s.Dir(), log: log}
	a, err := newAgent(s, settings, l.launch, log)
	if err != nil {
		return err
	}
	log.Info("agent started", "version", webjob.Version(), "state", s.Dir(), "max_runs", settings.Agent.MaxRuns)
	a.board.report(func(*Status) {})
	a.serve(ctx)
	a.board.report(func(s *Status) { s.State = StateStopped })
	log.Info("agent stopped")
	return nil
}

func newAgent(s *endpoint.State, settings *endpoint.Settings, launch func(wire.Offer) (process, error), log *slog.Logger) (*Agent, error) {
	sp, err := s.Spool()
	if err != nil {
		return nil, err
	}
	a := &Agent{state: s, settings: settings, log: log, sp: sp}
	a.runs = newRuns(&runs{most: settings.Agent.MaxRuns, launch: launch, claims: s.Claims, spooled: sp, log: log, changed: a.changed, over: a.over})
	a.clock = &clock{
		state: s, runs: a.runs, log: log, limit: time.Duration(settings.GetLimit),
		wake: make(chan struct{}, 1), fetch: make(chan struct{}, 1), connected: func() bool { return a.board.connected() },
	}
	a.board = &board{
		file: s.Path(statusFile), runs: a.runs.list, standing: func() int {
			standing, _ := a.clock.current()
			return len(standing)
		},
		status: Status{PID: os.Getpid(), Version: webjob.Version(), Started: time.Now().UTC(), State: StateConnecting},
	}
	if a.clock.standing, err = s.Standing.Read(); err != nil {
		return nil, err
	}
	waiting, err := sp.Runs()
	if err != nil {
		return nil, err
	}
	a.runs.inherit(waiting)
	return a, nil
}

func (a *Agent) serve(ctx context.Context) {
	u := &upkeep{state: a.state, settings: a.settings, sp: a.sp, runs: a.runs, log: a.log, renewed: a.reconnect, heard: func() {
		a.board.report(func(s *Status) { s.State, s.Error, s.LastContact = StateConnected, "", time.Now().UTC() })
	}}
	var loops sync.WaitGroup
	for _, loop := range []func(context.Context){a.pollLoop, a.clock.keepTime, a.clock.keepJobs, u.measureLoop, u.watchInherited, u.flushLoop, u.factsLoop, u.renewLoop} {
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
		a.runs.running.Wait()
		close(ended)
	}()
	for _, step := range []struct {
		wait time.Duration
		then func(process)
	}{{time.Duration(a.settings.Agent.Drain), process.stop}, {killTime, process.kill}, {killTime, process.kill}} {
		timer := time.NewTimer(step.wait)
		select {
		case <-ended:
			timer.Stop()
			return
		case <-timer.C:
		}
		a.runs.each(step.then)
	}
}

// over takes note that a run has ended.
func (a *Agent) over(run string, how end) {
	a.board.report(func(s *Status) { s.LastRun, s.LastRunEnded = run, time.Now().UTC() })
	if how == endRefused {
		a.clock.refused(run)
	}
	a.changed()
}

// changed takes note that the server may be asked again, and that there may be room.
func (a *Agent) changed() {
	if a.runs.haveNews() {
		a.mu.Lock()
		a.endPoll()
		a.mu.Unlock()
	}
	a.clock.tick()
}

// endPoll has the server asked anew; mu is held.
func (a *Agent) endPoll() {
	if a.again != nil {
		a.again()
		a.again = nil
	}
}

// reconnect makes the poll under way begin anew, with the certificate that is kept now.
func (a *Agent) reconnect() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.renewed = true
	a.endPoll()
}

// takeRenewed reports once that there is a new certificate.
func (a *Agent) takeRenewed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.renewed
	a.renewed = false
	return was
}
