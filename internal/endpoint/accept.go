package endpoint

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint/fetch"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// accept checks a verified manifest against this endpoint and takes its facts
// into the record. Every no is a [*fetch.VerificationError].
func (r *run) accept(offer *fetch.Offer) (webjob.Payload, error) {
	m := offer.SignedManifest
	r.record.Version, r.record.Manifest = m.Version, m.Digest
	r.record.Limits = m.Limits.Within(offer.Limits).Within(r.settings.Limits.limits())
	if err := r.record.Limits.Check(); err != nil {
		return webjob.Payload{}, &fetch.VerificationError{Err: err}
	}
	r.redirect(offer.PutURL)
	payload, err := m.PayloadFor(webjob.ThisPlatform)
	for _, check := range []func() error{
		func() error { return r.checkVersion(m) },
		func() error { return m.CheckArguments(r.record.Arguments) },
		func() error { return err },
	} {
		if err := check(); err != nil {
			return payload, &fetch.VerificationError{Err: err}
		}
	}
	r.record.Payload = payload.Digest
	return payload, nil
}

// checkVersion refuses a version that is not the one ordered. Without an order the job
// repository has said which one it is.
func (r *run) checkVersion(m *trust.SignedManifest) error {
	order := r.request.order
	if order == nil {
		return nil
	}
	if m.Version != order.Version || m.Digest != order.Manifest {
		return webjob.Errorf(webjob.Refused, "order %s is for %s version %d, manifest %s, and the server gave version %d, manifest %s",
			order.ID, order.Job, order.Version, order.Manifest.Short(), m.Version, m.Digest.Short())
	}
	return nil
}

// redirect follows the server's wish for where the result goes, to a server that
// this client is enrolled with and when nobody here decided otherwise.
func (r *run) redirect(address string) {
	if address == "" || address == r.to.URL || r.settings.PutURL != "" {
		return
	}
	to, err := r.state.Enrolments.For(address)
	if err != nil {
		r.record.Errors = append(r.record.Errors, "the server wants the result at "+address+": "+err.Error())
		return
	}
	r.to, r.record.PutURL, r.record.Client = to, to.URL, to.ID
}

// maxData bounds what hooks hand to a run, in bytes: sixteen hooks with as much as one
// may say.
const maxData = 4 << 20

// begin asks the server's hooks, when there are any, and takes what they hand over.
func (r *run) begin(ctx context.Context, offer *fetch.Offer) error {
	if !offer.Begin {
		return nil
	}
	var response struct { // wire.BeginResponse, not taken apart
		Data json.RawMessage `json:"data"`
	}
	err := r.client.Call(ctx, http.MethodPost, wire.PathRuns, nil, wire.BeginRequest{
		Run: r.record.Run, Job: r.record.Job, Version: r.record.Version, Order: r.record.Order, Arguments: r.record.Arguments,
	}, &response)
	if webjob.KindOf(err) == webjob.Refused {
		return &fetch.VerificationError{Err: err}
	}
	switch text := string(response.Data); {
	case err != nil || text == "" || text == "null" || text == "{}":
		return err
	case !strings.HasPrefix(text, "{"):
		err = webjob.Errorf(webjob.Invalid, "the data for the run are no JSON object")
	case len(text) > maxData:
		err = webjob.Errorf(webjob.TooLarge, "the data for the run have %d bytes; at most %d", len(text), maxData)
	}
	if err != nil {
		return &fetch.VerificationError{Err: err}
	}
	r.data = response.Data
	return nil
}
