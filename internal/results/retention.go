package results

import (
	"context"
	"time"

	"webjob.dev/webjob"
)

// Times and bounds of housekeeping. A batch takes the store's one writer for some
// milliseconds; then it rests as long as that took, so that results come in meanwhile.
const (
	tidyEvery  = time.Minute
	sweepEvery = 15 * time.Minute
	pruneBatch = 50
	dateBatch  = 200
	sweepBatch = 256
	// takeOver is how long a blob is condemned before somebody else removes it: whoever
	// condemned it was killed.
	takeOver = 2 * time.Minute
)

// KeepHouse removes what is to go until ctx ends. One server at a time does it, under a
// lease; for the moments in which two do, nothing depends on being alone.
func (k *Keeper) KeepHouse(ctx context.Context) {
	ticker := time.NewTicker(tidyEvery)
	defer ticker.Stop()
	for {
		if err := k.Tidy(ctx, k.now()); err != nil && ctx.Err() == nil {
			k.Log.Error("old results or blobs were not removed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Tidy does what is due at a time. When nothing is, it asks the store three questions that
// cost the same for ten results and a million.
func (k *Keeper) Tidy(ctx context.Context, at time.Time) error {
	if err := k.removeCondemned(ctx, at); err != nil {
		return err
	}
	if err := k.date(ctx, at); err != nil {
		return err
	}
	if err := k.prune(ctx, at); err != nil {
		return err
	}
	if at.Sub(k.swept) < sweepEvery {
		return nil
	}
	k.swept = at
	return k.Sweep(ctx, at)
}

// keptUntil returns until when a result is kept by the rules of now. Labels of clients are
// asked for once a batch.
func (k *Keeper) keptUntil(ctx context.Context, r webjob.Result) (time.Time, error) {
	client, err := k.Store.Client(ctx, r.Client)
	if webjob.KindOf(err) == webjob.NotFound {
		client, err = webjob.Client{ID: r.Client}, nil
	}
	if keep := k.Rules.Retention(client, r.Job); err == nil && keep > 0 {
		return r.Received.Add(keep), nil
	}
	return time.Time{}, err
}

// prune removes the results whose time is over. It asks the rules once more: results that
// were to go sooner when they came stay as long as the rules say now.
func (k *Keeper) prune(ctx context.Context, at time.Time) error {
	removed := 0
	for {
		due, err := k.Store.DueResults(ctx, at, pruneBatch)
		if err != nil {
			return err
		}
		begun := time.Now()
		var over []int64
		later := map[int64]time.Time{}
		for _, r := range due {
			until, err := k.keptUntil(ctx, r)
			if err != nil {
				return err
			}
			if until.IsZero() || until.After(at) {
				later[r.Sequence] = until
			} else {
				over = append(over, r.Sequence)
			}
		}
		if len(later) > 0 {
			if err := k.Store.KeepResults(ctx, later); err != nil {
				return err
			}
		}
		if len(over) > 0 {
			n, err := k.Store.PruneResults(ctx, over)
			if err != nil {
				return err
			}
			removed += n
		}
		if len(due) < pruneBatch {
			break
		}
		if err := rest(ctx, time.Since(begun)); err != nil {
			return err
		}
	}
	if removed > 0 {
		k.Log.Info("results were removed after their retention", "results", removed)
	}
	return nil
}

// date gives every result its time by the rules of now, after these have changed, and once
// a day, since they may depend on labels of clients.
func (k *Keeper) date(ctx context.Context, at time.Time) error {
	by := k.Rules.RetentionRules()
	if by != "" {
		by += " " + at.UTC().Format(time.DateOnly)
	}
	before, err := k.Store.DatedBy(ctx)
	if err != nil || before == by {
		return err
	}
	if by == "" { // everything is kept: what is due is asked about when it is
		return k.Store.SetDatedBy(ctx, by)
	}
	for after, more := int64(0), true; more; {
		begun := time.Now()
		list, err := k.Store.WalkResults(ctx, after, dateBatch)
		if err != nil {
			return err
		}
		changed := map[int64]time.Time{}
		for _, r := range list {
			after = r.Sequence
			until, err := k.keptUntil(ctx, r)
			if err != nil {
				return err
			}
			if !until.Equal(r.KeepUntil) {
				changed[r.Sequence] = until
			}
		}
		if len(changed) > 0 {
			if err := k.Store.KeepResults(ctx, changed); err != nil {
				return err
			}
		}
		if more = len(list) == dateBatch; more {
			if err := rest(ctx, time.Since(begun)); err != nil {
				return err
			}
		}
	}
	return k.Store.SetDatedBy(ctx, by)
}

// rest waits, unless ctx ends before.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}
