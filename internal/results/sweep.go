package results

import (
	"context"
	"time"

	"webjob.dev/webjob"
)

// Sweep removes the blobs that nothing names and nobody holds, once they are older than the
// grace time, and the uploads that were given up. The package comment tells why none is
// removed that somebody is about to name.
func (k *Keeper) Sweep(ctx context.Context, at time.Time) error {
	before := at.Add(-webjob.GraceTime)
	var old []webjob.Digest
	removed := 0
	sweep := func() error {
		begun := time.Now()
		unnamed, err := k.Store.UnnamedBlobs(ctx, old, at)
		old = old[:0]
		if err != nil || len(unnamed) == 0 {
			return err
		}
		condemned, err := k.Store.CondemnBlobs(ctx, unnamed, at)
		if err != nil {
			return err
		}
		removed += len(condemned)
		if err := k.remove(ctx, condemned, before); err != nil {
			return err
		}
		return rest(ctx, time.Since(begun))
	}
	err := k.Blobs.List(ctx, before, func(d webjob.Digest) error {
		if old = append(old, d); len(old) < sweepBatch {
			return nil
		}
		return sweep()
	})
	if err == nil {
		err = sweep()
	}
	if removed > 0 {
		k.Log.Info("blobs were removed that nothing named", "blobs", removed)
	}
	if err != nil {
		return err
	}
	if err := k.Blobs.GiveUpUploads(ctx, at.Add(-uploadLife)); err != nil {
		return err
	}
	return k.forgetHolds(ctx, before)
}

// forgetHolds forgets the holds that ended a grace time ago: what they held was old enough
// to be swept just now, so it is named or gone, and need not count any more.
func (k *Keeper) forgetHolds(ctx context.Context, before time.Time) error {
	for {
		begun := time.Now()
		n, err := k.Store.ForgetHolds(ctx, before, pruneBatch)
		if err != nil || n < pruneBatch {
			return err
		}
		if err := rest(ctx, time.Since(begun)); err != nil {
			return err
		}
	}
}

// remove removes condemned blobs and says so. One that is newer than it should be stays:
// it was put there by somebody who held it, so it is condemned by mistake.
func (k *Keeper) remove(ctx context.Context, condemned []webjob.Digest, before time.Time) error {
	for _, d := range condemned {
		if err := k.Blobs.Remove(ctx, d, before); err != nil {
			return err // the rest is taken over later
		}
	}
	return k.Store.BlobsRemoved(ctx, condemned)
}

// removeCondemned finishes what a sweep that was killed began.
func (k *Keeper) removeCondemned(ctx context.Context, at time.Time) error {
	for {
		left, err := k.Store.CondemnedBlobs(ctx, at.Add(-takeOver), sweepBatch)
		if err != nil || len(left) == 0 {
			return err
		}
		if err := k.remove(ctx, left, at.Add(-webjob.GraceTime)); err != nil {
			return err
		}
	}
}
