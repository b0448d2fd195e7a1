package agent

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint"
	"webjob.dev/webjob/internal/endpoint/spool"
	"webjob.dev/webjob/wire"
)

// upkeep is what an agent does beside runs: it sends results that wait, tells the server
// what this machine is, and renews certificates.
type upkeep struct {
	state    *endpoint.State
	settings *endpoint.Settings
	sp       *spool.Spool
	runs     *runs
	log      *slog.Logger
	heard    func() // the server answered
	renewed  func() // there is a new certificate
}

// mostKeptLines bounds what is logged of the results that wait, each time.
const mostKeptLines = 10

// maxSpooled bounds the results that wait. While there are more, or more bytes than the
// settings say, no run of an order begins: a server that takes no results fills no disk.
const maxSpooled = 10_000

// watchInherited looks whether the runs of an agent before this one have ended.
func (u *upkeep) watchInherited(ctx context.Context) {
	for u.runs.disinherit() > 0 && ctx.Err() == nil {
		pause(ctx, time.Second)
	}
}

// measureLoop looks how full the spool is.
func (u *upkeep) measureLoop(ctx context.Context) {
	for ctx.Err() == nil {
		u.measure()
		pause(ctx, measureInterval)
	}
}

func (u *upkeep) measure() {
	results, bytes, err := u.sp.Usage()
	if err != nil {
		u.log.Error("the spool cannot be read", "error", err)
	}
	full := results > maxSpooled || bytes > int64(u.settings.Agent.Spool)
	if !u.runs.setSpoolFull(full) {
		return
	}
	if full {
		u.log.Warn("no run of an order begins until results are sent", "waiting", results, "bytes", bytes, "agent.spool", u.settings.Agent.Spool)
	}
	u.runs.changed()
}

// flushLoop sends what waits in the spool and is nobody's, and tidies up.
func (u *upkeep) flushLoop(ctx context.Context) {
	swept := time.Time{}
	backoff := flushInterval
	for ctx.Err() == nil {
		if time.Since(swept) > sweepInterval {
			if err := u.state.Sweep(time.Now()); err != nil {
				u.log.Warn("the state folder could not be tidied", "error", err)
			}
			swept = time.Now()
		}
		flushed, err := endpoint.Flush(ctx, u.state, u.settings)
		for _, run := range flushed.Sent {
			u.log.Info("result is stored", "run", run)
		}
		lines := 0
		for run, err := range flushed.Kept {
			if lines++; lines > mostKeptLines {
				u.log.Warn("more results wait", "runs", len(flushed.Kept)-mostKeptLines)
				break
			}
			u.log.Warn("result waits", "run", run, "error", err)
		}
		if err != nil && ctx.Err() == nil {
			u.log.Warn("the spool could not be sent", "error", err)
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
func (u *upkeep) factsLoop(ctx context.Context) {
	reported := []byte{}
	backoff := firstBackoff
	for ctx.Err() == nil {
		facts, err := json.Marshal(endpoint.Facts())
		if err == nil && string(facts) != string(reported) {
			if err = u.tellFacts(ctx, facts); err == nil {
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

func (u *upkeep) tellFacts(ctx context.Context, facts []byte) error {
	e, err := u.state.Enrolments.With(endpoint.TargetGet)
	if err != nil {
		return err
	}
	c := e.Connect()
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := c.Call(ctx, http.MethodPut, wire.PathFacts, nil, json.RawMessage(facts), nil); err != nil {
		return err
	}
	u.heard()
	return nil
}

// renewLoop renews the certificates when they are due: at half of their life, which
// leaves the other half for servers that are away.
func (u *upkeep) renewLoop(ctx context.Context) {
	for ctx.Err() == nil {
		wait := renewInterval
		for _, target := range []endpoint.Target{endpoint.TargetGet, endpoint.TargetPut} {
			limited, cancel := context.WithTimeout(ctx, time.Minute)
			renewed, err := u.state.Enrolments.Renew(limited, target, false)
			cancel()
			switch {
			case renewed:
				u.log.Info("certificate renewed")
				u.renewed()
			case err != nil && webjob.KindOf(err) != webjob.NotFound && ctx.Err() == nil:
				u.log.Warn("the certificate could not be renewed", "error", err)
				wait = renewRetry
			}
			if e, err := u.state.Enrolments.With(target); err == nil {
				wait = min(wait, max(time.Until(e.Expires())/4, time.Second))
			}
		}
		pause(ctx, wait/2+rand.N(wait/2+1))
	}
}
