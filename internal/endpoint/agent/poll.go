package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// Bounds of a server that answers at once, again and again, with nothing that leads to a
// run: the first answers are free, then the agent asks ever more slowly.
const (
	idleAnswers = 10
	soon        = time.Second // an answer that comes earlier was not waited for
	firstPace   = 100 * time.Millisecond
	lastPace    = 10 * time.Second
)

// pace slows a conversation down that leads nowhere.
type pace struct {
	idle int
	wait time.Duration
}

// after returns how long to wait before the next poll.
func (p *pace) after(useful bool, took time.Duration) time.Duration {
	if useful || took >= soon {
		*p = pace{}
		return 0
	}
	if p.idle++; p.idle <= idleAnswers {
		return 0
	}
	p.wait = min(max(2*p.wait, firstPace), lastPace)
	return p.wait/2 + rand.N(p.wait)
}

// errAskAgain says that a poll was ended because there is something new to say.
var errAskAgain = errors.New("ask again")

// pollLoop asks for work, again and again.
func (a *Agent) pollLoop(ctx context.Context) {
	var c *wire.Client
	var pace pace
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
		start, useful := time.Now(), false
		if err == nil {
			useful, err = a.poll(ctx, c)
		}
		switch {
		case ctx.Err() != nil:
		case err == nil:
			backoff = firstBackoff
			if wait := pace.after(useful, time.Since(start)); wait > 0 {
				pause(ctx, wait)
			}
		case errors.Is(err, errAskAgain):
		default:
			wait := backoff/2 + rand.N(backoff)
			if kind := webjob.KindOf(err); kind == webjob.Refused || kind == webjob.Unauthorized {
				wait = refusedBackoff/2 + rand.N(refusedBackoff)
			}
			a.log.Warn("the server gives no work", "error", err, "again", wait.Round(time.Second))
			a.board.report(func(s *Status) { s.State, s.Error = StateConnecting, err.Error() })
			backoff = min(2*backoff, lastBackoff)
			if c != nil {
				c.Close()
				c = nil // read the enrolment again: it may have been renewed
			}
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
	a.board.report(func(s *Status) { s.Client, s.Server = e.ID, e.URL })
	return e.Connect(), nil
}

// poll asks once and takes what comes. It was useful when a run began or was ended.
func (a *Agent) poll(ctx context.Context, c *wire.Client) (useful bool, err error) {
	wait := time.Duration(a.settings.Agent.Wait)
	ctx, cancel := context.WithTimeout(ctx, wait+time.Minute)
	defer cancel()
	line := a.state.Tickets.Agent()
	step, err := line.Step()
	if err != nil {
		return false, err
	}
	request := a.request(cancel)
	request.WaitMS, request.Ticket = wait.Milliseconds(), step
	var response wire.PollResponse
	err = c.Call(ctx, http.MethodPost, wire.PathPoll, nil, request, &response)
	a.mu.Lock()
	interrupted := a.again == nil
	a.again = nil
	a.mu.Unlock()
	if err != nil && interrupted {
		return false, errAskAgain
	}
	if err != nil {
		return false, err
	}
	a.runs.reported(request.Known)
	if err := checkAnswer(&response); err != nil {
		return false, err
	}
	if err := line.Keep(response.Ticket); err != nil {
		a.log.Warn("the ticket of a poll was not kept", "error", err)
	}
	if err := a.takeRepository(ctx, c, response.Repository); err != nil {
		return false, err
	}
	return a.take(response)
}

// checkAnswer refuses an answer as a whole that no server has reason to give.
func checkAnswer(r *wire.PollResponse) error {
	for _, part := range []struct {
		what      string
		have, may int
	}{
		{"offers", len(r.Offers), wire.MaxOffers},
		{"runs to end", len(r.Cancel), wire.MaxKnownRuns},
		{"standing orders", len(r.Standing), wire.MaxStanding},
		{"bytes of ticket", len(r.Ticket), wire.MaxTicket},
	} {
		if part.have > part.may {
			return webjob.Errorf(webjob.Invalid, "the server's answer has %d %s, at most %d are taken; nothing of it is used", part.have, part.what, part.may)
		}
	}
	for _, envelope := range r.Standing {
		if len(envelope) > trust.MaxEnvelopeBytes {
			return webjob.Errorf(webjob.Invalid, "the server's answer has a standing order of %d bytes, at most %d are taken; nothing of it is used", len(envelope), trust.MaxEnvelopeBytes)
		}
	}
	return nil
}

// request tells what this agent has. What changes from now on ends the poll.
func (a *Agent) request(cancel context.CancelFunc) wire.PollRequest {
	a.mu.Lock()
	a.again = cancel
	a.mu.Unlock()
	waiting, err := a.sp.Runs()
	if err != nil {
		a.log.Error("the spool cannot be read", "error", err)
	}
	free, known := a.runs.report(waiting)
	standing, paused := a.clock.current()
	return wire.PollRequest{Free: free, Known: known, Standing: wire.StandingDigest(standing), Paused: paused}
}

// take does what an answer says.
func (a *Agent) take(response wire.PollResponse) (useful bool, err error) {
	a.board.report(func(s *Status) {
		s.State, s.Error, s.LastContact = StateConnected, "", time.Now().UTC()
		s.ClockSkewMS = time.Since(response.Time).Milliseconds()
	})
	if response.Change {
		if err := a.clock.replace(response.Standing); err != nil {
			return false, err
		}
		a.board.report(func(*Status) {}) // their number
	}
	a.clock.pause(response.Paused)
	for _, run := range response.Cancel {
		useful = a.runs.stop(run) || useful
	}
	beyond, unusables, bad := 0, 0, error(nil)
	for _, offer := range response.Offers {
		switch a.runs.offered(offer) {
		case started:
			useful = true
		case noRoom:
			beyond++
		case unusable:
			unusables, bad = unusables+1, check(offer)
		}
	}
	if unusables > 0 {
		a.log.Warn("the server offers what is not usable", "offers", unusables, "error", bad)
	}
	if beyond > 0 {
		a.log.Warn("the server offers more runs than there is room for; the others may be offered again", "offers", len(response.Offers), "beyond", beyond)
	}
	return useful, nil
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
		if version > r.Timestamp() {
			return webjob.Errorf(webjob.Unavailable, "the server speaks of version %d of the job repository and gives version %d", version, r.Timestamp())
		}
		a.log.Info("job repository is up to date", "timestamp", r.Timestamp())
	}
	subject, err := e.Subject(r)
	if err != nil {
		return err
	}
	a.board.report(func(s *Status) { s.Labels, s.Repository = subject.Labels, r.Timestamp() })
	return nil
}
