package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/durable"
	"webjob.dev/webjob/internal/endpoint/fetch"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// ErrLost says that a run was begun before and that nothing of it is left here: an
// order runs at most once, so it does not run again.
var ErrLost = errors.New("this run was begun before, and nothing of it is left here; it does not run again")

// ErrHeld says that a run was begun before and that its result is at hand or on its
// way.
var ErrHeld = errors.New("this run was begun before; its result waits or is being made")

// RunOffer does one run of an order: it verifies that the order is signed, for this
// client, for now, and was not done before, and then walks like [Run]. What is wrong
// with the order is a result. An error means that nothing ran: when it is
// Unavailable the offer may be taken up again.
func RunOffer(ctx context.Context, s *State, settings *Settings, offer wire.Offer) (*Ran, error) {
	get, err := s.Enrolment(TargetGet)
	if err != nil {
		return nil, err
	}
	view, err := s.viewForOrder(ctx, settings, get)
	if err != nil {
		return nil, err
	}
	order, err := openOrder(view, get, offer)
	if webjob.KindOf(err) == webjob.Unavailable {
		return nil, err
	}
	if err != nil {
		return s.refuseOffer(ctx, settings, get.ID, offer.Run, err)
	}
	if offer.Run != order.RunID(get.ID, offer.At) {
		return nil, webjob.Errorf(webjob.Refused, "run %.80q is not the run of order %s on client %s", offer.Run, order.ID, get.ID)
	}
	if err := s.checkUnclaimed(offer.Run); err != nil {
		return nil, err
	}
	if err := s.checkNotRestored(order.Created, offer.At, time.Now()); err != nil {
		return nil, err
	}
	r, err := s.newRun(settings, Request{Job: order.Job, Arguments: order.Arguments, order: order, view: view, run: offer.Run})
	if err != nil {
		return nil, err
	}
	defer r.client.Close()
	subject, err := get.Subject(view)
	if err != nil {
		return nil, err
	}
	if err := order.Allows(subject, offer.At, time.Now()); err != nil {
		r.record.Times.Get.Start = time.Now().UTC()
		entry, err := r.refuse(time.Now(), err)
		if err != nil {
			return nil, err
		}
		ran := &Ran{Record: r.record, Refused: r.refused}
		r.put(ctx, entry, ran)
		return ran, nil
	}
	return r.walk(ctx)
}

// viewForOrder returns the job repository with which an order is judged: a fresh one
// or, while the server is away, the last one that was; see [openOrder].
func (s *State) viewForOrder(ctx context.Context, settings *Settings, get *Enrolment) (*trust.Repository, error) {
	c := get.Connect()
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(settings.GetLimit))
	defer cancel()
	view, err := s.fresh(ctx, get, c)
	if webjob.KindOf(err) == webjob.Unavailable {
		return s.asSeen(get)
	}
	return view, err
}

// openOrder returns the order of an offer when the policy permits it here.
func openOrder(view *trust.Repository, get *Enrolment, offer wire.Offer) (*trust.SignedOrder, error) {
	policy, err := view.Policy()
	if err != nil {
		return nil, err
	}
	subject, err := get.Subject(view)
	if err != nil {
		return nil, err
	}
	order, err := policy.OpenOrder(offer.Order)
	if err != nil {
		return nil, err
	}
	// A server that is silent, or only feigns it, cannot have a new order obeyed with an
	// old policy. Standing orders were taken over with a fresh one.
	if stands := order.Schedule != nil && order.Schedule.Agent; !stands {
		if err := view.Fresh(time.Now()); err != nil {
			return nil, err
		}
	}
	return order, policy.Permits(order, subject)
}

// maxRefusals bounds the spool that a server which sends nonsense can fill.
const maxRefusals = 1000

// unverified stands for the name of a job that nobody vouches for.
const unverified = "unverified"

// refuseOffer makes a result of an order that does not verify, so that operators see
// why nothing happens: their keys may not be those that this client pinned. Nothing
// of such an order is believed but that the run is one of this client.
func (s *State) refuseOffer(ctx context.Context, settings *Settings, client, run string, why error) (*Ran, error) {
	order, owner, _, found := webjob.ParseRunID(run)
	if !found || owner != client {
		return nil, why
	}
	if err := s.checkUnclaimed(run); err != nil {
		return nil, err
	}
	r, err := s.newRun(settings, Request{Job: unverified, run: run})
	if err != nil {
		return nil, err
	}
	defer r.client.Close()
	if waiting, err := r.spool.Runs(); err != nil || len(waiting) >= maxRefusals {
		return nil, errors.Join(why, err)
	}
	r.record.Order = order
	start := time.Now()
	r.record.Times.Get.Start = start.UTC()
	entry, err := r.refuse(start, &fetch.VerificationError{Err: why})
	if err != nil {
		return nil, err
	}
	ran := &Ran{Record: r.record, Refused: r.refused}
	r.put(ctx, entry, ran)
	return ran, nil
}

// claimed is the note that a run of an order was begun. It is kept until the order
// can no longer be valid, whatever becomes of the run.
type claimed struct {
	Expires time.Time `json:"expires"` // of the order
}

// claimGrace is how long claims are kept after their order expired: clocks that are
// set back by less find them.
const claimGrace = 30 * 24 * time.Hour

// checkUnclaimed reports a run that was begun before.
func (s *State) checkUnclaimed(run string) error {
	if err := webjob.CheckRunID(run); err != nil {
		return err
	}
	_, err := os.Stat(s.path(claimsFolder, run))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return webjob.Errorf(webjob.Unavailable, "claims: %w", err)
	}
	if _, err := os.Stat(s.path(spoolFolder, run)); err == nil {
		return ErrHeld
	}
	return ErrLost
}

// claim notes durably that the run begins, before anything of it starts. When the
// note is there already, someone else has begun it.
func (r *run) claim() error {
	if r.request.order == nil {
		return nil
	}
	dir := r.state.path(claimsFolder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return webjob.Errorf(webjob.Unavailable, "claims: %w", err)
	}
	encoded, err := json.Marshal(claimed{Expires: r.request.order.Expires})
	if err != nil {
		return err
	}
	err = durable.Create(filepath.Join(dir, r.record.Run), encoded)
	if errors.Is(err, fs.ErrExist) {
		return r.state.checkUnclaimed(r.record.Run)
	}
	if err != nil {
		return webjob.Errorf(webjob.Unavailable, "claims: %w", err)
	}
	return nil
}

// sweepClaims removes the notes of orders that expired long ago.
func (s *State) sweepClaims(now time.Time) error {
	entries, err := os.ReadDir(s.path(claimsFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		file := s.path(claimsFolder, entry.Name())
		text, readErr := os.ReadFile(file)
		var c claimed
		if readErr != nil || json.Unmarshal(text, &c) != nil {
			// Cut short by a crash: its age tells as much as is needed.
			info, statErr := entry.Info()
			if statErr != nil {
				continue
			}
			c.Expires = info.ModTime().Add(webjob.MaxOrderLifetime)
		}
		if now.After(c.Expires.Add(claimGrace)) {
			err = errors.Join(err, os.Remove(file))
		}
	}
	return err
}
