package trust

import (
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/schedule"
)

// OrderType is the DSSE payload type of a signed order.
const OrderType = "application/vnd.webjob.order.v1+json"

// SignedOrder is an order that verified.
type SignedOrder struct {
	webjob.Order
	SignedBy []string
	selector webjob.Selector
	times    schedule.Times
}

// SignOrder checks the order and returns an envelope around its canonical form.
func SignOrder(o *webjob.Order, keys ...*PrivateKey) ([]byte, error) {
	if _, err := checkOrder(o); err != nil {
		return nil, err
	}
	return sign("order", OrderType, o, webjob.MaxOrderBytes, keys)
}

func checkOrder(o *webjob.Order) (*SignedOrder, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	signed := &SignedOrder{Order: *o}
	var err error
	if signed.selector, err = webjob.ParseSelector(o.On); err != nil {
		return nil, err
	}
	if o.Schedule != nil {
		signed.times, err = schedule.Parse(*o.Schedule, o.NotBefore)
	}
	return signed, err
}

// VerifyOrder opens an envelope and returns its order when enough keys of the root
// signed it. Whether its time is now is another question; see [SignedOrder.Allows].
func (r *Root) VerifyOrder(data []byte) (*SignedOrder, error) {
	payload, signedBy, err := r.verify("order", OrderType, data)
	if err != nil {
		return nil, err
	}
	var o webjob.Order
	if err := decodeCanonical("order", payload, &o); err != nil {
		return nil, err
	}
	signed, err := checkOrder(&o)
	if err == nil {
		signed.SignedBy = signedBy
	}
	return signed, err
}

// Times returns the times of the order's schedule; an order without one has none.
func (o *SignedOrder) Times() schedule.Times { return o.times }

// Selects reports whether the order is for the client.
func (o *SignedOrder) Selects(s webjob.Subject) bool { return o.selector.Matches(s) }

// Allows reports whether the client may run the order now, at the time of its
// schedule when it has one. The error is Refused and tells both clocks.
func (o *SignedOrder) Allows(s webjob.Subject, at, now time.Time) error {
	clock := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	switch {
	case !o.Selects(s):
		return webjob.Errorf(webjob.Refused, "order %s is for %q, and this is client %s (%s); it was given to the wrong client", o.ID, o.On, s.ID, s.Labels)
	case now.Before(o.NotBefore):
		return webjob.Errorf(webjob.Refused, "order %s begins at %s and it is %s here; mend this clock if that is wrong", o.ID, clock(o.NotBefore), clock(now))
	case !now.Before(o.Expires):
		return webjob.Errorf(webjob.Refused, "order %s expired at %s and it is %s here; mend this clock if that is wrong", o.ID, clock(o.Expires), clock(now))
	case (o.Schedule == nil) != at.IsZero():
		return webjob.Errorf(webjob.Refused, "order %s was given out with a time that does not fit its schedule", o.ID)
	case o.Schedule == nil:
		return nil
	case !o.times.Has(at):
		return webjob.Errorf(webjob.Refused, "order %s has no run at %s; it was given out at the wrong time", o.ID, clock(at))
	case now.Before(at):
		return webjob.Errorf(webjob.Refused, "order %s has a run at %s and it is %s here; mend this clock if that is wrong", o.ID, clock(at), clock(now))
	case !o.times.Latest(at, now).IsZero():
		return webjob.Errorf(webjob.Refused, "order %s had a run at %s and another one is due since (it is %s here)", o.ID, clock(at), clock(now))
	}
	return nil
}
