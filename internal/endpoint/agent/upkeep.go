package agent

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint"
	"webjob.dev/webjob/wire"
)

// flushLoop sends what waits in the spool and is nobody's, and tidies up.
func (a *Agent) flushLoop(ctx context.Context) {
	swept := time.Time{}
	backoff := flushInterval
	for ctx.Err() == nil {
		if time.Since(swept) > sweepInterval {
			if err := a.state.Sweep(time.Now()); err != nil {
				a.log.Warn("the state folder could not be tidied", "error", err)
			}
			swept = time.Now()
		}
		flushed, err := endpoint.Flush(ctx, a.state, a.settings)
		for _, run := range flushed.Sent {
			a.log.Info("result is stored", "run", run)
		}
		for run, err := range flushed.Kept {
			a.log.Warn("result waits", "run", run, "error", err)
		}
		if err != nil && ctx.Err() == nil {
			a.log.Warn("the spool could not be sent", "error", err)
		}
		if len(flushed.Kept) > 0 {
			backoff = min(2*backoff, 30*flushInterval)
		} else {
			backoff = flushInterval
		}
		pause(ctx, backoff/2+rand.N(backoff))
	}
}

// factsLoop tells the server what this machine is, when that has changed.
func (a *Agent) factsLoop(ctx context.Context) {
	reported := []byte{}
	backoff := firstBackoff
	for ctx.Err() == nil {
		facts, err := json.Marshal(endpoint.Facts())
		if err == nil && string(facts) != string(reported) {
			if err = a.tellFacts(ctx, facts); err == nil {
				reported = facts
			}
		}
		if err != nil {
			pause(ctx, backoff/2+rand.N(backoff))
			backoff = min(2*backoff, factsInterval)
			continue
		}
		backoff = firstBackoff
		pause(ctx, factsInterval/2+rand.N(factsInterval))
	}
}

func (a *Agent) tellFacts(ctx context.Context, facts []byte) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := c.Call(ctx, http.MethodPut, wire.PathFacts, nil, json.RawMessage(facts), nil); err != nil {
		return err
	}
	a.report(func(s *Status) { s.State, s.Error, s.LastContact = StateConnected, "", time.Now().UTC() })
	return nil
}

// renewLoop renews the certificates when they are due: at half of their life, which
// leaves the other half for servers that are away.
func (a *Agent) renewLoop(ctx context.Context) {
	for ctx.Err() == nil {
		wait := renewInterval
		for _, target := range []endpoint.Target{endpoint.TargetGet, endpoint.TargetPut} {
			limited, cancel := context.WithTimeout(ctx, time.Minute)
			renewed, err := a.state.Enrolments.Renew(limited, target, false)
			cancel()
			switch {
			case renewed:
				a.log.Info("certificate renewed")
				a.reconnect()
			case err != nil && webjob.KindOf(err) != webjob.NotFound && ctx.Err() == nil:
				a.log.Warn("the certificate could not be renewed", "error", err)
				wait = renewRetry
			}
			if e, err := a.state.Enrolments.With(target); err == nil {
				wait = min(wait, max(time.Until(e.Expires())/4, time.Second))
			}
		}
		pause(ctx, wait/2+rand.N(wait/2+1))
	}
}

// reconnect makes the poll under way begin anew, with the certificate that is kept now.
func (a *Agent) reconnect() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.renewed = true
	if a.again != nil {
		a.again()
		a.again = nil
	}
}

// takeRenewed reports once that there is a new certificate.
func (a *Agent) takeRenewed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.renewed
	a.renewed = false
	return was
}
