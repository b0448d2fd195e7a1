package endpoint

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/bundle"
	"webjob.dev/webjob/internal/endpoint/fetch"
	"webjob.dev/webjob/internal/endpoint/runner"
	"webjob.dev/webjob/internal/trust"
)

// placeAndRun gets the payload, places it and runs it.
func (r *run) placeAndRun(ctx, getCtx context.Context, start time.Time, offer *fetch.Offer, payload webjob.Payload, streams []*runner.Capture) error {
	dir, err := r.state.work.make(r.record.Run)
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
		r.note(err)
		return err
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
