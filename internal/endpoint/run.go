package endpoint

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/uuid"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/bundle"
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
	view      *trust.Repository  // with which the order was judged
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
	if err := s.renewExpired(ctx); err != nil {
		return nil, err
	}
	r, err := s.newRun(settings, request)
	if err != nil {
		return nil, err
	}
	defer r.client.Close()
	return r.walk(ctx)
}

func (s *State) newRun(settings *Settings, request Request) (*run, error) {
	get, err := s.Enrolment(TargetGet)
	if err != nil {
		return nil, err
	}
	put, err := s.putEnrolment(settings, get)
	if err != nil {
		return nil, err
	}
	sp, err := s.Spool()
	if err != nil {
		return nil, err
	}
	if err := s.sweepWork(sp); err != nil {
		return nil, webjob.Errorf(webjob.Unavailable, "work folder: %w", err)
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

// putEnrolment returns the enrolment with the server that results go to: put_url,
// else the put enrolment, else the server that serves jobs.
func (s *State) putEnrolment(settings *Settings, get *Enrolment) (*Enrolment, error) {
	if settings.PutURL != "" {
		return s.enrolmentFor(settings.PutURL)
	}
	put, err := s.Enrolment(TargetPut)
	if webjob.KindOf(err) == webjob.NotFound {
		return get, nil
	}
	return put, err
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
		if view, err = r.state.Repository(r.get, time.Now()); err != nil {
			return nil, err
		}
	}
	who := r.get.requester(view)
	query := wire.JobQuery{Platform: webjob.ThisPlatform, Run: r.record.Run}
	if r.request.order != nil {
		query.Version = r.request.order.Version
	}
	var offer *fetch.Offer
	err := r.state.withTicket(func(ticket string) (next string, err error) {
		who.Ticket = ticket
		if offer, err = fetch.Job(getCtx, r.client, who, r.record.Job, query, time.Now()); offer != nil {
			next = offer.Ticket
		}
		return next, err
	})
	if r.request.order != nil && webjob.KindOf(err) == webjob.Unavailable {
		// Standing orders go on while the server is away, with what was kept of the job.
		if kept, keptErr := r.state.keptJob(r.request.order, view); keptErr == nil {
			offer, err = kept, nil
			r.record.Errors = append(r.record.Errors, "the server was away at GET; the job ran as it was kept here")
		}
	}
	if err != nil {
		return r.refuse(start, err)
	}
	defer func() { _ = offer.Close() }() // only read, and at its end already
	if offer.Repository != view {
		if err := r.state.KeepRepository(r.get, offer.Repository); err != nil {
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

// placeAndRun gets the payload, places it and runs it.
func (r *run) placeAndRun(ctx, getCtx context.Context, start time.Time, offer *fetch.Offer, payload webjob.Payload, streams []*runner.Capture) error {
	dir, err := r.state.makeWork(r.record.Run)
	if err != nil {
		return err
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			r.record.Errors = append(r.record.Errors, "work folder: "+err.Error())
		}
	}()
	if r.data != nil {
		if err := os.WriteFile(filepath.Join(dir, contextFile), r.data, 0o400); err != nil {
			return webjob.Errorf(webjob.Unavailable, "work folder: %w", err)
		}
	}
	fetched := false
	placed, err := runner.Place(dir, payload, offer.Interpreter, func(w io.Writer) error {
		err := offer.Payload(getCtx, payload, w)
		fetched = err == nil
		return err
	})
	r.record.Times.Get.DurationMS = milliseconds(start)
	if fetched && webjob.KindOf(err) == webjob.Refused { // changed between the network and its place
		err = &fetch.VerificationError{Err: err}
	}
	if err == nil {
		if err = r.inspect(ctx, placed, payload, offer.SignedManifest); err != nil {
			err = errors.Join(err, placed.Close())
		}
	}
	if err != nil {
		return r.note(err)
	}
	if err := r.start(ctx, dir, placed, payload, offer.SignedManifest, streams); err != nil { // the job was authentic and did not start: that is a result
		r.record.Outcome, r.record.Reason = webjob.NotStarted, err.Error()
	}
	if err := placed.Close(); err != nil {
		r.record.Errors = append(r.record.Errors, err.Error())
	}
	return nil
}

// start runs the payload that was placed in the run's folder.
func (r *run) start(ctx context.Context, dir string, placed *runner.Placed, payload webjob.Payload, m *trust.SignedManifest, streams []*runner.Capture) error {
	path, inherit, home := placed.Path, placed.Inherit, filepath.Join(dir, "home")
	workDir := home
	if payload.Bundle != nil {
		workDir = filepath.Join(dir, "bundle")
		if err := unpack(ctx, placed.Content(), workDir, payload.Bundle); err != nil {
			return err
		}
		path, inherit = filepath.Join(workDir, filepath.FromSlash(payload.Bundle.Run)), nil
	}
	program, argv, err := commandLine(m, path, r.record.Arguments)
	if err != nil {
		return err
	}
	report, err := runner.Run(ctx, runner.Spec{
		Run: r.record.Run, Program: program, Arguments: argv, Inherit: inherit,
		Env: r.environment(dir), Dir: workDir, Stdout: streams[0], Stderr: streams[1],
		Limits: r.record.Limits, Leftovers: m.Leftovers,
	})
	r.take(report)
	if err == nil && m.Collect != nil {
		r.collect(ctx, m.Collect, workDir)
	}
	return err
}

// unpack unpacks a bundle whose bytes were verified into a new folder.
func unpack(ctx context.Context, content io.ReadSeeker, dir string, b *webjob.Bundle) error {
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return webjob.Errorf(webjob.Unavailable, "the bundle cannot be read: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return webjob.Errorf(webjob.Unavailable, "work folder: %w", err)
	}
	return bundle.Unpack(&untilDone{ctx: ctx, r: content}, dir, b.Bytes)
}

// untilDone reads until its context ends.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u *untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

func (r *run) environment(dir string) []string {
	variables := map[string]string{
		"WEBJOB_RUN_ID":      r.record.Run,
		"WEBJOB_JOB":         r.record.Job,
		"WEBJOB_JOB_VERSION": strconv.FormatInt(r.record.Version, 10),
		"WEBJOB_CLIENT_ID":   r.get.ID,
		"WEBJOB_PLATFORM":    string(webjob.ThisPlatform),
		"WEBJOB_VERSION":     webjob.Version(),
	}
	if r.record.Order != "" {
		variables["WEBJOB_ORDER"] = r.record.Order
	}
	if r.data != nil {
		variables["WEBJOB_CONTEXT"] = filepath.Join(dir, contextFile)
	}
	return runner.Environment(filepath.Join(dir, "home"), variables)
}

// contextFile lies beside the payload and holds what hooks hand to the job.
const contextFile = "context.json"

func (r *run) take(report runner.Report) {
	r.record.Outcome, r.record.ExitStatus, r.record.Signal, r.record.Reason = report.Outcome, report.ExitStatus, report.Signal, report.Reason
	r.record.Times.Run, r.record.Usage, r.record.Enforced, r.record.Leftovers = report.Phase, report.Usage, report.Enforced, report.Leftovers
	r.record.Errors = append(r.record.Errors, report.Errors...)
}

// note remembers err when it says that the server's answer was not accepted, and
// returns it.
func (r *run) note(err error) error {
	var verification *fetch.VerificationError
	if errors.As(err, &verification) {
		r.refused = err
		r.record.Outcome, r.record.Reason = webjob.RunRefused, err.Error()
	}
	return err
}

// refuse turns a verification error before the run into a result without streams.
// Other errors are returned: nothing of the server's answer was to be judged. But of
// a run that was ordered, every error that will not pass is a result.
func (r *run) refuse(start time.Time, err error) (*spool.Entry, error) {
	r.record.Times.Get.DurationMS = milliseconds(start)
	if err := r.note(err); r.refused == nil {
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
	entry, stdout, stderr, beginErr := r.spool.Begin(r.record)
	if beginErr != nil {
		return nil, errors.Join(err, beginErr)
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
		if _, err := r.state.Renew(ctx, target, false); err != nil && webjob.KindOf(err) != webjob.NotFound {
			ran.RenewError = err
		}
	}
}

// stopPutLimit is how long a webjob that was told to stop still tries to upload.
const stopPutLimit = 5 * time.Second

func milliseconds(since time.Time) float64 {
	return float64(time.Since(since).Microseconds()) / 1000
}
