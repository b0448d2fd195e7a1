package hook

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"webjob.dev/webjob"
)

// Times and bounds of the courier.
const (
	batch        = 100
	maxWorkers   = 2 * maxHooks // of triggers that are configured, and some that were
	firstBackoff = 5 * time.Second
	lastBackoff  = time.Hour
	idle         = time.Minute // looks again after so long even when nobody woke it
	storeTrouble = 5 * time.Second
	noteEvery    = time.Second // how long what was delivered may wait to be noted
)

// Courier takes the deliveries in the store to their triggers, each at least once. Every
// trigger has a worker of its own while something waits for it: it is told one thing after
// another, and one that is slow or fails keeps no other waiting.
type Courier struct {
	store   webjob.Deliveries
	trigger func(name string) *Settings // nil when there is none of that name
	log     *slog.Logger
	count   func(trigger string, err error)
	wake    chan struct{}
}

// NewCourier returns a courier; start it with Run.
func NewCourier(store webjob.Deliveries, trigger func(string) *Settings, log *slog.Logger, count func(string, error)) *Courier {
	return &Courier{store: store, trigger: trigger, log: log, count: count, wake: make(chan struct{}, 1)}
}

// Wake tells that there is something new.
func (c *Courier) Wake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Run delivers until ctx ends, and returns when the last worker has ended.
func (c *Courier) Run(ctx context.Context) {
	var workers sync.WaitGroup
	defer workers.Wait()
	busy := map[string]bool{}
	ended := make(chan string, maxWorkers)
	for ctx.Err() == nil {
		wait := idle
		due, err := c.store.DueTriggers(ctx)
		if err != nil && ctx.Err() == nil {
			c.log.Error("deliveries cannot be read", "error", err)
		}
		for name, at := range due {
			switch left := time.Until(at); {
			case busy[name]:
			case left > 0:
				wait = min(wait, left)
			case len(busy) < maxWorkers:
				busy[name] = true
				workers.Go(func() {
					defer func() { ended <- name }()
					c.work(ctx, name)
				})
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-c.wake:
		case name := <-ended:
			delete(busy, name)
		case <-timer.C:
		}
		timer.Stop()
	}
}

// work delivers to one trigger until nothing is due. When the store cannot be used it
// rests: otherwise the trigger would be told the same over and over.
func (c *Courier) work(ctx context.Context, name string) {
	for ctx.Err() == nil {
		due, err := c.store.DueDeliveries(ctx, name, time.Now(), batch)
		if err == nil {
			err = c.deliver(ctx, name, due)
		}
		if err != nil && ctx.Err() == nil {
			c.log.Error("deliveries cannot be read or noted", "trigger", name, "error", err)
			rest := time.NewTimer(storeTrouble)
			select {
			case <-rest.C:
			case <-ctx.Done():
			}
			rest.Stop()
			return
		}
		if len(due) == 0 {
			return
		}
	}
}

// deliver tells a trigger a batch of deliveries.
func (c *Courier) deliver(ctx context.Context, name string, deliveries []webjob.Delivery) error {
	var done []int64
	note := func() error {
		if len(done) == 0 {
			return nil
		}
		// Also when told to stop: what was delivered should not be delivered again.
		err := c.store.Delivered(context.WithoutCancel(ctx), done)
		done = nil
		return err
	}
	noted := time.Now()
	for _, d := range deliveries {
		if ctx.Err() != nil {
			break
		}
		err := c.tell(ctx, name, d)
		c.count(name, err)
		if err != nil && ctx.Err() != nil {
			break // told to stop in the middle: it is tried again
		}
		if err == nil {
			done = append(done, d.Sequence)
		} else {
			d = postponed(d, c.trigger(name), err)
			c.log.Warn("trigger failed", "trigger", name, "event", d.Event.ID, "attempts", d.Attempts, "dead", d.Dead, "error", err)
			if err := c.store.Postpone(ctx, d); err != nil {
				_ = note() // the store is in trouble, which is told
				return err
			}
		}
		if time.Since(noted) > noteEvery {
			if err := note(); err != nil {
				return err
			}
			noted = time.Now()
		}
	}
	return note()
}

func (c *Courier) tell(ctx context.Context, name string, d webjob.Delivery) error {
	t := c.trigger(name)
	if t == nil {
		return webjob.Errorf(webjob.NotFound, "no trigger of this name is configured")
	}
	return t.Tell(ctx, d.Event)
}

// postponed doubles the time between attempts, with some chance in it, until the
// delivery is given up.
func postponed(d webjob.Delivery, t *Settings, err error) webjob.Delivery {
	d.Attempts++
	d.Error = err.Error()
	d.Dead = t == nil || d.Attempts >= t.Attempts
	backoff := firstBackoff
	for range min(d.Attempts-1, 20) {
		backoff = min(2*backoff, lastBackoff)
	}
	d.NextAt = time.Now().Add(backoff/2 + rand.N(backoff))
	return d
}
