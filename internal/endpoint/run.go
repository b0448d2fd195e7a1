package endpoint

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/google/uuid"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint/fetch"
	"webjob.dev/webjob/internal/endpoint/runner"
	"webjob.dev/webjob/internal/endpoint/spool"
	"webjob.dev/webjob/internal/endpoint/upload"
	"webjob.dev/webjob/internal/trust"
	"webjob.dev/webjob/wire"
)

// Request is one job to get, run and put.
type Request struct {
	Job       string
	Arguments []string
	order     *trust.SignedOrder // that asks for it; nil when someone here does
	view      *trust.View        // with which the order was judged
	run       string             // id that the order gives it
}

// Ran is what came of a request.
type Ran struct {
	Record *webjob.Record
	// Refused is why nothing ran, when verification or policy said no.
	Refused error
	// PutError is why the result still waits in the spool; nil when it is acknowledged.
	PutError error
	// RenewError is why a certificate that is due was not renewed.
	RenewError error
	// Others is what came of the older results that waited in the spool.
	Others Flushed
}

// Run walks one job through GET, RUN and PUT. An error means that nothing ran and
// nothing was kept: the job could not be fetched, or could not be started. When the
// server's answer was not accepted, that is a result of its own, and goes back.
func Run(ctx context.Context, s *State, settings *Settings, request Request) (*Ran, error) {
	if err := s.Enrolments.renewExpired(ctx); err != nil {
		return nil, err
	}
	r, err := newRun(s, settings, request)
	if err != nil {
		return nil, err
	}
	defer r.client.Close()
	return r.walk(ctx)
}

func newRun(s *State, settings *Settings, request Request) (*run, error) {
	get, err := s.Enrolments.With(TargetGet)
	if err != nil {
		return nil, err
	}
	put, err := s.Enrolments.forResults(settings.PutURL, get)
	if err != nil {
		return nil, err
	}
	sp, err := s.Spool()
	if err != nil {
		return nil, err
	}
	if err := s.work.sweep(sp); err != nil {
		return nil, err
	}
	return &run{
		state: s, settings: settings, spool: sp, get: get, to: put, client: get.Connect(),
		request: request, record: newRecord(put, request),
	}, nil
}

func (r *run) walk(ctx context.Context) (*Ran, error) {
	entry, err := r.getAndRun(ctx)
	if err != nil {
		return nil, err
	}
	ran := &Ran{Record: r.record, Refused: r.refused}
	r.put(ctx, entry, ran)
	return ran, nil
}

func newRecord(put *Enrolment, request Request) *webjob.Record {
	host, _ := os.Hostname() // a host without a name is still a host
	record := &webjob.Record{
		Format: webjob.RecordFormat, Run: request.run, Client: put.ID, Job: request.Job, Arguments: request.Arguments,
		Host: host, Platform: webjob.ThisPlatform, System: systemVersion(), Webjob: webjob.Version(), PutURL: put.URL,
		Outcome: webjob.Interrupted, Limits: webjob.DefaultLimits(),
	}
	if request.order != nil {
		record.Order = request.order.ID
	}
	if record.Run == "" {
		record.Run = newRunID()
	}
	return record
}

func newRunID() string {
	id, err := uuid.NewV7()
	if err != nil {
		id = uuid.New()
	}
	return id.String()
}

// run is one request on its way.
type run struct {
	state    *State
	settings *Settings
	spool    *spool.Spool
	get, to  *Enrolment // servers of the job and of the result
	client   *wire.Client
	request  Request
	record   *webjob.Record
	data     []byte       // JSON that hooks hand to the job; nil for none
	entry    *spool.Entry // of the run, once it began
	file     *signedFile  // that the payload comes from; nil when a server gives it
	refused  error
}

// getAndRun returns the sealed entry of the run.
func (r *run) getAndRun(ctx context.Context) (*spool.Entry, error) {
	start := time.Now()
	r.record.Times.Get.Start = start.UTC()
	getCtx, cancel := context.WithTimeout(ctx, time.Duration(r.settings.GetLimit))
	defer cancel()
	view := r.request.view
	if view == nil {
		var err error
		if view, err = r.state.Repository.Read(r.get, time.Now()); err != nil {
			return nil, err
		}
	}
	who := r.get.requester(view)
	query := wire.JobQuery{Platform: webjob.ThisPlatform, Run: r.record.Run}
	if r.request.order != nil {
		query.Version = r.request.order.Version
	}
	var offer *fetch.Offer
	err := r.state.Tickets.run(TargetGet).exchange(func(step string) (ticket string, err error) {
		who.Ticket = step
		if offer, err = fetch.Job(getCtx, r.client, who, r.record.Job, query, time.Now()); offer != nil {
			ticket = offer.Ticket
		}
		return ticket, err
	})
	if r.request.order != nil && webjob.KindOf(err) == webjob.Unavailable {
		// Standing orders go on while the server is away, with what was kept of the job.
		if kept, keptErr := r.state.Kept.offer(r.request.order, view); keptErr == nil {
			offer, err = kept, nil
			r.record.Errors = append(r.record.Errors, "the server was away at GET; the job ran as it was kept here")
		}
	}
	if err != nil {
		return r.refuse(start, err)
	}
	defer func() { _ = offer.Close() }() // only read, and at its end already
	if offer.Repository != view {
		if err := r.state.Repository.Keep(r.get, offer.Repository); err != nil {
			return nil, err
		}
	}
	return r.runOffer(ctx, getCtx, start, offer)
}

// runOffer runs what an offer holds and returns the sealed entry of the run. Getting
// the payload ends with getCtx.
func (r *run) runOffer(ctx, getCtx context.Context, start time.Time, offer *fetch.Offer) (*spool.Entry, error) {
	payload, err := r.accept(offer)
	if err == nil {
		err = r.begin(getCtx, offer)
	}
	if err != nil {
		return r.refuse(start, err)
	}
	if err := r.claim(); err != nil {
		return nil, err
	}
	entry, stdout, stderr, err := r.spool.Begin(r.record)
	if err != nil {
		return nil, err
	}
	r.entry = entry
	streams := []*runner.Capture{
		runner.NewCapture(webjob.Stdout, stdout, r.record.Limits.StdoutBytes),
		runner.NewCapture(webjob.Stderr, stderr, r.record.Limits.StderrBytes),
	}
	err = r.placeAndRun(ctx, getCtx, start, offer, payload, streams)
	if closeErr := errors.Join(stdout.Close(), stderr.Close()); closeErr != nil {
		r.record.Errors = append(r.record.Errors, closeErr.Error())
	}
	if err != nil && r.refused == nil { // nothing ran, and the server knows why or is away
		return nil, errors.Join(err, entry.Remove())
	}
	var parts []webjob.Stream
	for _, stream := range streams {
		parts = append(parts, stream.Stream())
	}
	r.record.Parts = append(parts, r.record.Parts...)
	return r.seal(entry)
}

// claim notes that a run of an order begins.
func (r *run) claim() error {
	if r.request.order == nil {
		return nil
	}
	return r.state.Claims.Take(r.record.Run, r.request.order.Expires)
}

// note remembers err when it says that the server's answer was not accepted.
func (r *run) note(err error) {
	var verification *fetch.VerificationError
	if errors.As(err, &verification) {
		r.refused = err
		r.record.Outcome, r.record.Reason = webjob.RunRefused, err.Error()
	}
}

// refuse turns a verification error before the run into a result without streams.
// Other errors are returned: nothing of the server's answer was to be judged. But of
// a run that was ordered, every error that will not pass is a result.
func (r *run) refuse(start time.Time, err error) (*spool.Entry, error) {
	if r.note(err); r.refused == nil {
		if r.request.order == nil || webjob.KindOf(err) == webjob.Unavailable {
			return nil, err
		}
		r.record.Outcome, r.record.Reason = webjob.NotStarted, err.Error()
		if webjob.KindOf(err) == webjob.Refused {
			r.record.Outcome, r.refused = webjob.RunRefused, err
		}
	}
	if err := r.claim(); err != nil {
		return nil, err
	}
	entry, sealErr := r.sealWithoutStreams(start)
	if sealErr != nil {
		return nil, errors.Join(err, sealErr)
	}
	return entry, nil
}

// sealWithoutStreams keeps the record of what did not run.
func (r *run) sealWithoutStreams(start time.Time) (*spool.Entry, error) {
	r.record.Times.Get.DurationMS = milliseconds(start)
	entry, stdout, stderr, err := r.spool.Begin(r.record)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(stdout.Close(), stderr.Close()); err != nil {
		return nil, errors.Join(err, entry.Unlock())
	}
	return r.seal(entry)
}

func (r *run) seal(entry *spool.Entry) (*spool.Entry, error) {
	r.record.Times.Put.Start = time.Now().UTC()
	if err := entry.Seal(r.record); err != nil {
		return nil, errors.Join(err, entry.Unlock())
	}
	return entry, nil
}

// put sends the result, then the older ones that wait, within one PUT limit. It
// goes on for a moment when the caller was told to stop: a result is at hand.
func (r *run) put(ctx context.Context, entry *spool.Entry, ran *Ran) {
	limit := time.Duration(r.settings.PutLimit)
	if ctx.Err() != nil {
		limit = min(limit, stopPutLimit)
	}
	putCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	c := r.client
	if r.to.URL != r.get.URL {
		c = r.to.Connect()
		defer c.Close()
	}
	if ran.PutError = upload.Send(putCtx, c, entry); ran.PutError == nil && ctx.Err() == nil {
		ran.Others = flush(putCtx, r.state, r.spool)
		r.renew(putCtx, ran)
	}
}

// renew renews the certificates that are due. A run of an order leaves that to its
// agent.
func (r *run) renew(ctx context.Context, ran *Ran) {
	if r.request.order != nil {
		return
	}
	for _, target := range []Target{TargetGet, TargetPut} {
		if _, err := r.state.Enrolments.Renew(ctx, target, false); err != nil && webjob.KindOf(err) != webjob.NotFound {
			ran.RenewError = err
		}
	}
}

// stopPutLimit is how long a webjob that was told to stop still tries to upload.
const stopPutLimit = 5 * time.Second

func milliseconds(since time.Time) float64 {
	return float64(time.Since(since).Microseconds()) / 1000
}
