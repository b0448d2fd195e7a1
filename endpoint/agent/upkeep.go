package agent

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"time"

	"webjob.dev/webjob/endpoint"
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
	told := []byte{}
	backoff := firstBackoff
	for ctx.Err() == nil {
		facts, err := json.Marshal(endpoint.Facts())
		if err == nil && string(facts) != string(told) {
			if err = a.tellFacts(ctx, facts); err == nil {
				told = facts
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
