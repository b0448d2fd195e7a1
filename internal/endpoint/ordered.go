package endpoint

import (
	"context"
	"errors"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint/fetch"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// RunOffer does one run of an order: it verifies that the order is signed, for this
// client, for now, and was not done before, and then walks like [Run]. What is wrong
// with the order is a result. An error means that nothing ran: when it is
// Unavailable the offer may be taken up again.
func RunOffer(ctx context.Context, s *State, settings *Settings, offer wire.Offer) (*Ran, error) {
	get, err := s.Enrolments.With(TargetGet)
	if err != nil {
		return nil, err
	}
	view, err := viewForOrder(ctx, s, settings, get)
	if err != nil {
		return nil, err
	}
	order, err := openOrder(view, get, offer)
	if webjob.KindOf(err) == webjob.Unavailable {
		return nil, err
	}
	if err != nil {
		return refuseOffer(ctx, s, settings, get.ID, offer.Run, err)
	}
	if offer.Run != order.RunID(get.ID, offer.At) {
		return nil, webjob.Errorf(webjob.Refused, "run %.80q is not the run of order %s on client %s", offer.Run, order.ID, get.ID)
	}
	if err := s.Claims.Check(offer.Run); err != nil {
		return nil, err
	}
	if err := s.Claims.checkNotRestored(order.Created, offer.At, time.Now()); err != nil {
		return nil, err
	}
	r, err := newRun(s, settings, Request{Job: order.Job, Arguments: order.Arguments, order: order, view: view, run: offer.Run})
	if err != nil {
		return nil, err
	}
	defer r.client.Close()
	subject, err := get.Subject(view)
	if err != nil {
		return nil, err
	}
	if err := order.Allows(subject, offer.At, time.Now()); err != nil {
		return r.refuseOrder(ctx, err)
	}
	return r.walk(ctx)
}

// viewForOrder returns the job repository with which an order is judged: a fresh one
// or, while the server is away, the last one that was; see [openOrder].
func viewForOrder(ctx context.Context, s *State, settings *Settings, get *Enrolment) (*trust.View, error) {
	c := get.Connect()
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(settings.GetLimit))
	defer cancel()
	view, err := s.Repository.Current(ctx, get, c)
	if webjob.KindOf(err) == webjob.Unavailable {
		return s.Repository.AsSeen(get)
	}
	return view, err
}

// openOrder returns the order of an offer when the policy permits it here.
func openOrder(view *trust.View, get *Enrolment, offer wire.Offer) (*trust.SignedOrder, error) {
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
func refuseOffer(ctx context.Context, s *State, settings *Settings, client, run string, why error) (*Ran, error) {
	order, owner, _, found := webjob.ParseRunID(run)
	if !found || owner != client {
		return nil, why
	}
	if err := s.Claims.Check(run); err != nil {
		return nil, err
	}
	r, err := newRun(s, settings, Request{Job: unverified, run: run})
	if err != nil {
		return nil, err
	}
	defer r.client.Close()
	r.record.Order = order
	return r.refuseOrder(ctx, why)
}

// refuseOrder keeps and sends the result of an order that is not obeyed. It claims
// nothing: of one order, a server can make up a run for every moment.
func (r *run) refuseOrder(ctx context.Context, why error) (*Ran, error) {
	if waiting, err := r.spool.Runs(); err != nil || len(waiting) >= maxRefusals {
		return nil, errors.Join(why, err)
	}
	start := time.Now()
	r.record.Times.Get.Start = start.UTC()
	r.note(&fetch.VerificationError{Err: why})
	entry, err := r.sealWithoutStreams(start)
	if err != nil {
		return nil, err
	}
	ran := &Ran{Record: r.record, Refused: r.refused}
	r.put(ctx, entry, ran)
	return ran, nil
}
