// Package fetch is the GET stage: it gets a job's manifest and payload from the
// server and hands back only what verified. It trusts the server with nothing: the
// manifest must be the one that the signed job repository names for this client, be
// the job that was asked for, and not be expired; payload bytes must be those that the
// manifest names.
package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// Requester is what a job is verified for.
type Requester struct {
	ID         string
	Labels     webjob.Labels // of the enrolment; the repository may have others
	Repository *trust.View
	Ticket     string // the step that this exchange takes
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
	// Repository is the view of the job repository that vouches for the manifest.
	Repository *trust.View
	Ticket     string // for that step
	// Limits are the server's ceilings, PutURL its wish for the result; both may be empty.
	Limits webjob.Limits
	PutURL string
	// Begin says that the server's hooks want to be asked before the run.
	Begin  bool
	client *wire.Client
	behind io.ReadCloser // what follows the manifest in the answer
	length int64         // of it, as the server says
}

// maxBundleBytes bounds what a server may send of the job repository with a job.
const maxBundleBytes = 16 << 20

// Job gets and verifies the manifest of the version of a job that this client gets,
// with what is new in the job repository. An error of verification is a
// [*VerificationError]; the offer then holds only a ticket. The caller closes the offer.
func Job(ctx context.Context, c *wire.Client, who Requester, name string, q wire.JobQuery, now time.Time) (*Offer, error) {
	if err := webjob.CheckJobName(name); err != nil {
		return nil, err
	}
	have, err := json.Marshal(who.Repository.Have(trust.PolicyPath, trust.ClientPath(who.ID), trust.JobPath(name)))
	if err != nil {
		return nil, err
	}
	response, err := c.Send(ctx, http.MethodGet, wire.JobPath(name, q), http.Header{wire.HeaderHave: {string(have)}, wire.HeaderTicket: {who.Ticket}}, nil, -1)
	if err != nil {
		return nil, err
	}
	o, err := read(response, who, name, q.Version, now)
	if err != nil {
		return &Offer{Ticket: response.Header.Get(wire.HeaderTicket)}, errors.Join(err, response.Body.Close())
	}
	o.client, o.Ticket = c, response.Header.Get(wire.HeaderTicket)
	return o, nil
}

// read reads and verifies what comes before the payload.
func read(response *http.Response, who Requester, name string, version int64, now time.Time) (*Offer, error) {
	bundleText, err := readPart(response, wire.HeaderBundleLength, maxBundleBytes)
	if err != nil {
		return nil, err
	}
	manifest, err := readPart(response, wire.HeaderManifestLength, webjob.MaxManifestBytes)
	if err != nil {
		return nil, err
	}
	o := &Offer{behind: response.Body, length: response.ContentLength - int64(len(bundleText)+len(manifest))}
	if o.Repository, err = update(who.Repository, bundleText, now); err != nil {
		return nil, &VerificationError{Err: err}
	}
	if o.SignedManifest, err = verify(manifest, o.Repository, who, name, version, now); err != nil {
		return nil, &VerificationError{Err: err}
	}
	if err := o.readHeader(response.Header); err != nil {
		return nil, &VerificationError{Err: err}
	}
	return o, nil
}

// update takes in what came of the job repository. Without anything new, what is at
// hand must still be fresh.
func update(r *trust.View, text []byte, now time.Time) (*trust.View, error) {
	if len(text) == 0 {
		if err := r.Fresh(now); err != nil {
			return nil, webjob.Errorf(webjob.Refused, "%w", err)
		}
		return r, nil
	}
	var bundle webjob.RepositoryBundle
	if err := wire.Decode(text, &bundle); err != nil {
		return nil, webjob.Errorf(webjob.KindOf(err), "the job repository that came is not readable: %w", err)
	}
	return r.Update(bundle, now)
}

// Kept verifies a manifest that was kept from an earlier answer: the order that names
// its digest vouches for it. Payload, of the size, is what was kept beside it. The
// caller closes the offer.
func Kept(manifest []byte, signed webjob.Digest, name string, r *trust.View, now time.Time, payload io.ReadCloser, size int64) (*Offer, error) {
	m, err := trust.ParseManifest(manifest, signed, now)
	if err == nil && m.Name != name {
		err = otherJob(name, m)
	}
	if err != nil {
		return nil, errors.Join(&VerificationError{Err: err}, payload.Close())
	}
	return &Offer{SignedManifest: m, Repository: r, behind: payload, length: size}, nil
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

// readPart reads the next part of an answer, whose length a header tells.
func readPart(response *http.Response, header string, most int) ([]byte, error) {
	length, err := strconv.Atoi(response.Header.Get(header))
	if err != nil || length < 0 || length > most {
		return nil, &VerificationError{Err: webjob.Errorf(webjob.Invalid, "the answer has no usable %s; is it a WebJob server?", header)}
	}
	part := make([]byte, length)
	if _, err := io.ReadFull(response.Body, part); err != nil {
		return nil, webjob.Errorf(webjob.Unavailable, "the answer ended early: %w", err)
	}
	return part, nil
}

// Close ends the answer.
func (o *Offer) Close() error { return o.behind.Close() }

// verify finds the version that this client gets in the job repository, and accepts
// only its manifest.
func verify(manifest []byte, r *trust.View, who Requester, name string, version int64, now time.Time) (*trust.SignedManifest, error) {
	index, err := r.Index(name)
	if err != nil {
		return nil, webjob.Errorf(webjob.Refused, "%w", err)
	}
	labels, found, err := r.Labels(who.ID)
	if err != nil {
		return nil, err
	}
	if !found {
		labels = who.Labels
	}
	scopes := webjob.ScopesFor(who.ID, labels)
	signed, err := index.For(scopes)
	if version != 0 {
		signed, err = index.Version(version, scopes...)
	}
	if err != nil {
		return nil, webjob.Errorf(webjob.Refused, "%w; the server gave it nevertheless", err)
	}
	m, err := trust.ParseManifest(manifest, signed.Manifest, now)
	if err != nil {
		return nil, webjob.Errorf(webjob.KindOf(err), "job %s: the signed job repository gives this client version %d: %w", name, signed.Version, err)
	}
	if m.Name != name {
		return nil, otherJob(name, m)
	}
	if m.Version != signed.Version || m.Scope != signed.Scope {
		return nil, webjob.Errorf(webjob.Refused, "the manifest of job %s is of version %d for %s and its index says version %d for %s", name, m.Version, m.Scope, signed.Version, signed.Scope)
	}
	return m, nil
}

func otherJob(name string, m *trust.SignedManifest) error {
	return webjob.Errorf(webjob.Refused, "asked for job %s and got a manifest of job %s; the server swapped them", name, m.Name)
}

// Payload writes the payload to w, from behind the manifest when it is there, else
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
