package hook

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"webjob.dev/webjob"
)

// Times of the outbox.
const (
	batch        = 100
	firstBackoff = 5 * time.Second
	lastBackoff  = time.Hour
	idle         = time.Minute // looks again after so long even when nobody woke it
)

// Outbox delivers what is in the store to triggers, each at least once. A trigger
// that fails keeps the others waiting for nothing.
type Outbox struct {
	store   webjob.Outbox
	trigger func(name string) *Settings // nil when there is none of that name
	log     *slog.Logger
	told    func(trigger string, err error) // counts
	wake    chan struct{}
}

// NewOutbox returns an outbox; start it with Run.
func NewOutbox(store webjob.Outbox, trigger func(string) *Settings, log *slog.Logger, told func(string, error)) *Outbox {
	return &Outbox{store: store, trigger: trigger, log: log, told: told, wake: make(chan struct{}, 1)}
}

// Wake tells that there is something new.
func (o *Outbox) Wake() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Run delivers until ctx ends.
func (o *Outbox) Run(ctx context.Context) {
	for ctx.Err() == nil {
		next, err := o.deliverDue(ctx)
		if err != nil && ctx.Err() == nil {
			o.log.Error("the outbox cannot be read", "error", err)
		}
		wait := idle
		if err == nil && !next.IsZero() {
			wait = max(0, min(wait, time.Until(next)))
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-o.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// deliverDue delivers a batch: one trigger's one after another, triggers beside each
// other.
func (o *Outbox) deliverDue(ctx context.Context) (time.Time, error) {
	due, next, err := o.store.DueDeliveries(ctx, time.Now(), batch)
	if err != nil {
		return next, err
	}
	byTrigger := map[string][]webjob.Delivery{}
	for _, d := range due {
		byTrigger[d.Trigger] = append(byTrigger[d.Trigger], d)
	}
	var work sync.WaitGroup
	for name, deliveries := range byTrigger {
		work.Go(func() { o.deliver(ctx, name, deliveries) })
	}
	work.Wait()
	return next, nil
}

func (o *Outbox) deliver(ctx context.Context, name string, deliveries []webjob.Delivery) {
	var done []int64
	for _, d := range deliveries {
		if ctx.Err() != nil {
			break
		}
		err := o.tell(ctx, name, d)
		o.told(name, err)
		if err == nil {
			done = append(done, d.Sequence)
			continue
		}
		if ctx.Err() != nil {
			break // told to stop in the middle: it is tried again
		}
		d = postponed(d, o.trigger(name), err)
		o.log.Warn("trigger failed", "trigger", name, "event", d.Event.ID, "attempts", d.Attempts, "dead", d.Dead, "error", err)
		if err := o.store.Postpone(ctx, d); err != nil {
			o.log.Error("the outbox cannot be written", "error", err)
		}
	}
	if len(done) == 0 {
		return
	}
	// Also when told to stop: what was delivered should not be delivered again.
	if err := o.store.Delivered(context.WithoutCancel(ctx), done); err != nil {
		o.log.Error("the outbox cannot be written", "error", err)
	}
}

func (o *Outbox) tell(ctx context.Context, name string, d webjob.Delivery) error {
	t := o.trigger(name)
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
