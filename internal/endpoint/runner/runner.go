// Package runner is the RUN stage: it places a payload where nobody else can
// change it, checks the bytes that will run, starts them without a shell, keeps
// what they write, and ends the whole tree of processes at a limit.
//
// One process runs one job at a time: on Linux the calling process becomes the
// parent of every orphan below it, so that none escapes, and reaps all of its own
// children while the job runs. The package reads and writes only what it is
// handed; it knows no server and no spool.
package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"webjob.dev/webjob"
)

// Times of the end of a tree.
const (
	settleTime = 100 * time.Millisecond // for a job's helpers to end by themselves after it
	graceTime  = time.Second            // between SIGTERM and SIGKILL
	killTime   = 5 * time.Second        // for killed processes to disappear
	pipeTime   = time.Second            // for the last output after the tree is gone
)

// Spec says what to run and how.
type Spec struct {
	Run       string   // run id, names the control group
	Program   string   // path of the program
	Arguments []string // argv, with argv[0]
	Inherit   []*os.File
	Env       []string
	Dir       string
	Stdout    *Capture
	Stderr    *Capture
	Limits    webjob.Limits
	Leftovers webjob.Leftovers
}

// Report says what happened.
type Report struct {
	Outcome    webjob.Outcome
	ExitStatus *int
	Signal     string
	Reason     string
	Phase      webjob.Phase
	Usage      webjob.Usage
	Enforced   []string // how each limit was enforced
	Leftovers  int64    // processes that outlived the job and were ended
	Errors     []string
}

// exit is how the job's own process ended.
type exit struct {
	status   int
	signal   string // "" when it exited by itself
	exceeded string // the limit that ended it, when the platform tells
}

// Run starts the job and returns when it and, unless leftovers are left, every
// process that it started have ended. A job that could not be started is an
// error; everything else is in the report. When ctx ends the tree is ended too.
func Run(ctx context.Context, spec Spec) (Report, error) {
	streams, err := openStreams(&spec)
	if err != nil {
		return Report{}, err
	}
	report := Report{Phase: webjob.Phase{Start: time.Now().UTC()}}
	start := time.Now()
	t, err := startTree(&spec, streams.childEnds())
	streams.closeChildEnds()
	if err != nil {
		streams.close()
		return Report{}, webjob.Errorf(webjob.Refused, "the job cannot be started: %w", err)
	}
	streams.copy()
	w := &watch{tree: t, spec: &spec, report: &report}
	w.untilEnd(ctx, streams)
	report.Phase.DurationMS = float64(time.Since(start).Microseconds()) / 1000
	streams.finish()
	w.conclude()
	return report, nil
}

// watch follows one tree to its end.
type watch struct {
	tree   *tree
	spec   *Spec
	report *Report
	exit   *exit
	gone   bool // nothing of the tree is left
}

// untilEnd waits for the job or a limit, then ends what is left.
func (w *watch) untilEnd(ctx context.Context, streams *streams) {
	limit := time.NewTimer(w.spec.Limits.RunTime())
	defer limit.Stop()
	select {
	case e := <-w.tree.exited:
		select {
		case why := <-w.tree.violated: // which is why it ended
			w.stopped(webjob.LimitExceeded, why)
		default:
		}
		w.exit = &e
		w.afterExit(ctx, limit)
		return
	case <-limit.C:
		w.stopped(webjob.TimedOut, fmt.Sprintf("the RUN limit of %s", w.spec.Limits.RunTime()))
	case stream := <-streams.overflow:
		w.stopped(webjob.LimitExceeded, stream+" passed its limit")
	case why := <-w.tree.violated:
		w.stopped(webjob.LimitExceeded, why)
	case <-ctx.Done():
		w.stopped(webjob.Interrupted, "webjob was told to stop")
	}
	w.end()
}

func (w *watch) stopped(outcome webjob.Outcome, reason string) {
	w.report.Outcome, w.report.Reason = outcome, reason
}

// afterExit deals with processes that outlive the job's own.
func (w *watch) afterExit(ctx context.Context, limit *time.Timer) {
	settle := time.NewTimer(settleTime)
	defer settle.Stop()
	select {
	case <-w.tree.drained:
		w.gone = true
		return
	case <-settle.C:
	case <-limit.C:
	case <-ctx.Done():
	}
	if w.spec.Leftovers == webjob.LeftoversLeave {
		return
	}
	w.report.Leftovers = int64(w.tree.count())
	w.end()
}

// end asks the tree to end, then kills it.
func (w *watch) end() {
	w.tree.terminate()
	if w.waitDrained(graceTime) {
		return
	}
	w.tree.kill()
	if !w.waitDrained(killTime) {
		w.report.Errors = append(w.report.Errors, fmt.Sprintf("%d processes could not be ended", w.tree.count()))
	}
}

// waitDrained waits until nothing of the tree is left, or the time is over.
func (w *watch) waitDrained(limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-w.tree.drained:
		w.gone = true
	case <-timer.C:
	}
	return w.gone
}

// conclude fills the report in from how the job's own process ended.
func (w *watch) conclude() {
	if w.exit == nil {
		select {
		case e := <-w.tree.exited:
			w.exit = &e
		default: // not even SIGKILL helped
		}
	}
	r := w.report
	r.Usage, r.Enforced = w.tree.usage(), w.tree.enforced
	if err := w.tree.close(); err != nil {
		r.Errors = append(r.Errors, err.Error())
	}
	if w.exit == nil {
		return
	}
	r.Signal = w.exit.signal
	ended := r.Outcome != "" // by a limit, or because webjob had to stop
	if w.exit.signal == "" {
		r.ExitStatus = &w.exit.status
	}
	switch {
	case ended:
	case w.exit.exceeded != "":
		r.Outcome, r.Reason = webjob.LimitExceeded, w.exit.exceeded
	case w.exit.signal != "":
		r.Outcome, r.Reason = webjob.Signalled, "ended by "+w.exit.signal
	case w.exit.status != 0:
		r.Outcome = webjob.Failed
	default:
		r.Outcome = webjob.Succeeded
	}
}

// streams are the pipes between the job and its captures.
type streams struct {
	captures [2]*Capture
	ours     [2]*os.File
	theirs   [2]*os.File
	null     *os.File
	copying  sync.WaitGroup
	overflow chan string
}

func openStreams(spec *Spec) (*streams, error) {
	s := &streams{captures: [2]*Capture{spec.Stdout, spec.Stderr}, overflow: make(chan string, 2)}
	var err error
	if s.null, err = emptyInput(); err != nil {
		return nil, err
	}
	for i := range s.captures {
		if s.ours[i], s.theirs[i], err = os.Pipe(); err != nil {
			s.closeChildEnds()
			s.close()
			return nil, err
		}
		if spec.Limits.OnOverflow == webjob.OverflowStop {
			s.captures[i].overflow = s.overflow
		}
	}
	return s, nil
}

// emptyInput is a file without content. A bare folder that a client was put into has no
// null device; a pipe that nobody writes to serves as well.
func emptyInput() (*os.File, error) {
	null, err := os.Open(os.DevNull)
	if err == nil {
		return null, nil
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return read, write.Close()
}

// childEnds are the job's descriptors 0, 1 and 2.
func (s *streams) childEnds() []*os.File { return []*os.File{s.null, s.theirs[0], s.theirs[1]} }

func (s *streams) closeChildEnds() { _ = errors.Join(closeAll(s.childEnds())...) } // nothing was written to them

func (s *streams) close() { _ = errors.Join(closeAll(s.ours[:])...) } // only read from

func closeAll(files []*os.File) []error {
	var errs []error
	for _, f := range files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errs
}

// copy starts moving the job's output into the captures.
func (s *streams) copy() {
	for i, c := range s.captures {
		s.copying.Go(func() { c.readFrom(s.ours[i]) })
	}
}

// finish waits for the last output. When processes are left that may hold the
// pipes open, or gave them away, it waits only a little.
func (s *streams) finish() {
	done := make(chan struct{})
	go func() {
		s.copying.Wait()
		close(done)
	}()
	timer := time.NewTimer(pipeTime)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		deadline := time.Now()
		for _, pipe := range s.ours {
			_ = pipe.SetReadDeadline(deadline) // unsupported where pipes block; close below ends the read there
		}
	}
	s.close()
	<-done
}
