// Package lease runs what only one server does at a time: the clock of orders, deliveries,
// retention. Servers that share a store share its leases; with one server the lease is
// always had. A lease spares work and is no lock: what runs under it must be right, too,
// when two servers do it for a moment, because their clocks or networks misbehave.
package lease

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"webjob.dev/webjob"
)

// TTL is how long a lease lasts without being renewed: how long others wait for what a
// server did that was killed. It is renewed three times as often.
const TTL = 15 * time.Second

// Holder is a server that takes leases. Name is the same after a restart, so that a
// server need not wait for its own lease.
type Holder struct {
	Store webjob.Leases
	Name  string
	Log   *slog.Logger
}

// Run does the work whenever this server has the lease, until ctx ends. The context of
// the work ends when the lease is lost; the work must then return.
func (h Holder) Run(ctx context.Context, lease string, work func(context.Context)) {
	for ctx.Err() == nil {
		if h.take(ctx, lease) {
			h.hold(ctx, lease, work)
		}
		wait(ctx, TTL/3)
	}
}

// take reports whether this server has the lease now.
func (h Holder) take(ctx context.Context, lease string) bool {
	held, err := h.Store.Lease(ctx, lease, h.Name, TTL)
	if err != nil && ctx.Err() == nil {
		h.Log.Warn("a lease could not be asked for", "lease", lease, "error", err)
	}
	return held
}

// hold does the work and renews the lease until either ends.
func (h Holder) hold(ctx context.Context, lease string, work func(context.Context)) {
	working, stop := context.WithCancel(ctx)
	defer stop()
	var done sync.WaitGroup
	done.Go(func() {
		defer stop() // work that ended by itself needs no lease
		work(working)
	})
	renewed := time.Now()
	for {
		wait(working, TTL/3)
		if working.Err() != nil {
			break
		}
		if h.take(working, lease) {
			renewed = time.Now()
		} else if time.Since(renewed) > TTL*2/3 { // before another one can have it
			h.Log.Warn("a lease was lost", "lease", lease)
			break
		}
	}
	stop()
	done.Wait()
	if err := h.Store.EndLease(context.WithoutCancel(ctx), lease, h.Name); err != nil {
		h.Log.Debug("a lease was not given back", "lease", lease, "error", err)
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
