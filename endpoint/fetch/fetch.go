// Package fetch is the GET stage: it gets a job's manifest and payload from the
// server and hands back only what verified. It trusts the server with nothing: the
// manifest must be signed by the pinned keys, be the job that was asked for, be
// meant for this client, and not be expired; payload bytes must be those that the
// manifest names.
package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/trust"
	"webjob.dev/webjob/wire"
)

// Requester is what a manifest is verified for.
type Requester struct {
	ID     string
	Labels webjob.Labels
	Root   *trust.Root
}

// VerificationError says that the server answered and its answer was not
// accepted: someone should look.
type VerificationError struct{ Err error }

func (e *VerificationError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *VerificationError) Unwrap() error { return e.Err }

// Offer is what the server gives for a job: the verified manifest and, when it is
// small, the payload behind it, not looked at yet.
type Offer struct {
	*trust.SignedManifest
	Envelope []byte // exact
	// Limits are the server's ceilings, PutURL its wish for the result; both may be empty.
	Limits webjob.Limits
	PutURL string
	// Begin says that the server's hooks want to be asked before the run.
	Begin  bool
	client *wire.Client
	behind io.ReadCloser // what follows the envelope in the answer
	length int64         // of it, as the server says
}

// Job gets and verifies the manifest of the version of a job that the server gives
// this client. An error of verification is a [*VerificationError]. The caller closes
// the offer.
func Job(ctx context.Context, c *wire.Client, who Requester, name string, q wire.JobQuery, now time.Time) (*Offer, error) {
	if err := webjob.CheckJobName(name); err != nil {
		return nil, err
	}
	response, err := c.Send(ctx, http.MethodGet, wire.JobPath(name, q), nil, nil, -1)
	if err != nil {
		return nil, err
	}
	envelope, err := readEnvelope(response)
	if err == nil {
		var m *trust.SignedManifest
		if m, err = verify(envelope, who, name, now); err == nil {
			o := &Offer{SignedManifest: m, Envelope: envelope, client: c, behind: response.Body, length: response.ContentLength - int64(len(envelope))}
			if err = o.readHeader(response.Header); err == nil {
				return o, nil
			}
		}
		err = &VerificationError{Err: err}
	}
	return nil, errors.Join(err, response.Body.Close())
}

// Kept verifies an envelope that was kept from an earlier answer, as if it came now;
// payload, of the size, is what was kept beside it. The caller closes the offer.
func Kept(envelope []byte, who Requester, name string, now time.Time, payload io.ReadCloser, size int64) (*Offer, error) {
	m, err := verify(envelope, who, name, now)
	if err != nil {
		return nil, errors.Join(&VerificationError{Err: err}, payload.Close())
	}
	return &Offer{SignedManifest: m, Envelope: envelope, behind: payload, length: size}, nil
}

// readHeader reads what the server says beside the manifest. None of it can loosen
// what the manifest and this endpoint allow.
func (o *Offer) readHeader(h http.Header) error {
	if text := h.Get(wire.HeaderLimits); text != "" {
		if err := json.Unmarshal([]byte(text), &o.Limits); err != nil {
			return webjob.Errorf(webjob.Invalid, "header %s is not readable: %w", wire.HeaderLimits, err)
		}
	}
	if o.PutURL = h.Get(wire.HeaderPutURL); o.PutURL != "" {
		if err := trust.CheckServerURL(o.PutURL); err != nil {
			return err
		}
	}
	o.Begin = h.Get(wire.HeaderBegin) != ""
	return nil
}

// readEnvelope reads the envelope at the start of an answer.
func readEnvelope(response *http.Response) ([]byte, error) {
	length, err := strconv.Atoi(response.Header.Get(wire.HeaderEnvelopeLength))
	if err != nil || length < 1 || length > trust.MaxEnvelopeBytes {
		return nil, webjob.Errorf(webjob.Invalid, "the answer has no usable %s; is it a WebJob server?", wire.HeaderEnvelopeLength)
	}
	envelope := make([]byte, length)
	if _, err := io.ReadFull(response.Body, envelope); err != nil {
		return nil, webjob.Errorf(webjob.Unavailable, "the envelope ended early: %w", err)
	}
	return envelope, nil
}

// Close ends the answer.
func (o *Offer) Close() error { return o.behind.Close() }

func verify(envelope []byte, who Requester, name string, now time.Time) (*trust.SignedManifest, error) {
	m, err := who.Root.VerifyManifest(envelope, now)
	if err != nil {
		return nil, err
	}
	if m.Name != name {
		return nil, webjob.Errorf(webjob.Refused, "asked for job %s and got a manifest of job %s; the server swapped them", name, m.Name)
	}
	if !slices.Contains(webjob.ScopesFor(who.ID, who.Labels), m.Scope) {
		return nil, webjob.Errorf(webjob.Refused, "job %s version %d is for %s, and this is client %s (%s); the server gave it to the wrong client",
			m.Name, m.Version, m.Scope, who.ID, who.Labels)
	}
	return m, nil
}

// Payload writes the payload to w, from behind the envelope when it is there, else
// with a request of its own. It returns nil when w received exactly the payload's
// bytes; before that, w must not be used. Other bytes than the manifest's are a
// [*VerificationError].
func (o *Offer) Payload(ctx context.Context, p webjob.Payload, w io.Writer) error {
	body := o.behind
	if o.length <= 0 {
		response, err := o.client.Send(ctx, http.MethodGet, wire.BlobPath(p.Digest), nil, nil, -1) //nolint:bodyclose // closed below, as body
		if err != nil {
			return err
		}
		body = response.Body
	}
	digester := webjob.NewDigester()
	sink := &sink{w: io.MultiWriter(w, digester)}
	_, err := io.Copy(sink, io.LimitReader(body, p.Size+1))
	closeErr := body.Close()
	switch {
	case sink.err != nil:
		return webjob.Errorf(webjob.Unavailable, "the payload cannot be written: %w", sink.err)
	case err != nil:
		return webjob.Errorf(webjob.Unavailable, "the payload ended after %d of %d bytes: %w", digester.Size(), p.Size, err)
	case digester.Size() != p.Size:
		return swapped("the payload has %s %d bytes", moreOrLess(digester.Size() > p.Size), p.Size)
	case digester.Digest() != p.Digest:
		return swapped("the payload is %s and the manifest names %s", digester.Digest(), p.Digest)
	}
	return closeErr
}

func swapped(format string, args ...any) error {
	err := webjob.Errorf(webjob.Refused, format, args...)
	return &VerificationError{Err: webjob.Errorf(webjob.Refused, "%w; it is not what was signed", err)}
}

func moreOrLess(more bool) string {
	if more {
		return "more than the signed"
	}
	return "less than the signed"
}

// sink tells errors of writing from errors of reading.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.err = errors.Join(s.err, err)
	return n, err
}
