// Package shell runs POSIX shell scripts inside of the endpoint program, so that a job need
// not trust, or find, the shell and the tools of its host. The language is mvdan.cc/sh's;
// the tools are those of package coreutils and win over programs of the same name, which
// can still be run by their path.
package shell

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"runtime"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/tools/streams"
)

// Run runs a script, with $0 as its name and the arguments, and returns its exit status.
// An error says that the script did not run.
func Run(ctx context.Context, name string, script io.Reader, arguments []string, standard streams.Standard) (int, error) {
	text, err := streams.ReadScript(name, script)
	if err != nil {
		return 0, err
	}
	parsed, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(bytes.NewReader(text), name)
	if err != nil {
		return 0, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	runner, err := newRunner(interp.StdIO(standard.In, standard.Out, standard.Err), interp.Params(append([]string{"--"}, arguments...)...))
	if err != nil {
		return 0, webjob.Errorf(webjob.Internal, "the shell does not start: %w", err)
	}
	err = runner.Run(ctx, parsed)
	var status interp.ExitStatus
	switch {
	case errors.As(err, &status):
		return int(status), nil
	case ctx.Err() != nil:
		return 0, webjob.Errorf(webjob.Unavailable, "%s was ended: %w", name, context.Cause(ctx))
	case err != nil:
		return 0, webjob.Errorf(webjob.Invalid, "%s: %w", name, err)
	}
	return 0, nil
}

func newRunner(options ...interp.RunnerOption) (*interp.Runner, error) {
	return interp.New(append(options, interp.ExecHandlers(builtIn), interp.CallHandler(notTooDeep), interp.OpenHandler(open))...)
}

// open opens what a redirection names. A host without a null device has one here.
func open(ctx context.Context, path string, flag int, mode fs.FileMode) (io.ReadWriteCloser, error) {
	f, err := interp.DefaultOpenHandler()(ctx, path, flag, mode)
	if err != nil && path == "/dev/null" {
		return null{}, nil
	}
	return f, err
}

// null is empty and takes everything.
type null struct{}

func (null) Read([]byte) (int, error)    { return 0, io.EOF }
func (null) Write(p []byte) (int, error) { return len(p), nil }
func (null) Close() error                { return nil }

// maxFrames bounds how deep functions of a script call each other, in frames of this
// program's stack; it is some two thousand calls.
const maxFrames = 30_000

var errTooDeep = errors.New("functions call each other too deep")

// notTooDeep ends a script before it uses up the stack.
func notTooDeep(_ context.Context, args []string) ([]string, error) {
	var at [1]uintptr
	if runtime.Callers(maxFrames, at[:]) > 0 {
		return nil, errTooDeep
	}
	return args, nil
}
