package trust

import (
	"encoding/json"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/schedule"
)

// OrderType is the DSSE payload type of a signed order.
const OrderType = "application/vnd.webjob.order.v1+json"

// SignedOrder is an order with the people of a policy who signed it. Whether they
// suffice depends on the client; see [Policy.Permits].
type SignedOrder struct {
	webjob.Order
	SignedBy []string // names of people, in the order of the policy
	keys     []string // ids of their keys
	selector webjob.Selector
	times    schedule.Times
}

// SignOrder checks the order and returns an envelope around its canonical form, with
// one signature a key. Without keys nobody signs it; few policies accept that.
func SignOrder(o *webjob.Order, keys ...*PrivateKey) ([]byte, error) {
	if _, err := checkOrder(o); err != nil {
		return nil, err
	}
	return seal("order", OrderType, o, webjob.MaxOrderBytes, keys)
}

// ApproveOrder returns the envelope with the signatures of more keys.
func ApproveOrder(data []byte, keys ...*PrivateKey) ([]byte, error) {
	envelope, err := parseEnvelope(data)
	if err != nil {
		return nil, err
	}
	if envelope.PayloadType != OrderType {
		return nil, webjob.Errorf(webjob.Refused, "envelope holds a %.80q, not an order", envelope.PayloadType)
	}
	if err := countersign(envelope, keys); err != nil {
		return nil, err
	}
	return json.Marshal(envelope)
}

// MergeOrders returns the envelope a with the signatures that b has as well. Both must
// hold the same order, byte for byte.
func MergeOrders(a, b []byte) ([]byte, error) {
	first, err := parseEnvelope(a)
	if err != nil {
		return nil, err
	}
	second, err := parseEnvelope(b)
	if err != nil {
		return nil, err
	}
	if first.PayloadType != second.PayloadType || first.Payload != second.Payload {
		return nil, webjob.Errorf(webjob.Conflict, "the approval is for another order; look at it again")
	}
	for _, sig := range second.Signatures {
		addSignature(first, sig)
	}
	if len(first.Signatures) > maxSignatures {
		return nil, webjob.Errorf(webjob.Invalid, "the order has more than %d signatures", maxSignatures)
	}
	return json.Marshal(first)
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

// OpenOrder opens an envelope and finds the people of the policy who signed its order.
// Whether that is enough for a client, and whether its time is now, are other
// questions; see [Policy.Permits] and [SignedOrder.Allows].
func (p *Policy) OpenOrder(data []byte) (*SignedOrder, error) {
	var keys []*PublicKey
	for _, person := range p.People {
		keys = append(keys, person.key)
	}
	payload, signers, err := unseal("order", OrderType, data, keys)
	if err != nil {
		return nil, err
	}
	var o webjob.Order
	if err := decodeCanonical("order", payload, &o); err != nil {
		return nil, err
	}
	signed, err := checkOrder(&o)
	if err != nil {
		return nil, err
	}
	for _, key := range signers {
		signed.SignedBy = append(signed.SignedBy, p.NameOf(key.ID()))
		signed.keys = append(signed.keys, key.ID())
	}
	return signed, nil
}

// Signers returns the people who signed, each with the id of the key, for the record.
func (o *SignedOrder) Signers() []string {
	signers := make([]string, len(o.keys))
	for i, id := range o.keys {
		signers[i] = NameWithKey(o.SignedBy[i], id)
	}
	return signers
}

// NameWithKey returns a person with the beginning of the id of the key, such as
// "alice (3f2a9c014b7d0e21)": names are given anew, keys are not.
func NameWithKey(name, id string) string { return name + " (" + id[:min(len(id), 16)] + ")" }

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
