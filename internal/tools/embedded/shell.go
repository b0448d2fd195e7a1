// Package embedded holds the interpreters inside of the endpoint program, so that a
// job need not trust, or find, those of its host: a POSIX shell with core utilities.
package embedded

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"time"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"webjob.dev/webjob"
)

// maxScript bounds a script, in bytes.
const maxScript = 64 << 20

// Streams are the standard streams of a script.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Shell runs a POSIX shell script, with $0 as its name and the arguments, and returns
// its exit status. Core utilities are built in and win over programs of the host of the
// same name; those can still be run by their path. An error says that the script did
// not run.
func Shell(ctx context.Context, name string, script io.Reader, arguments []string, streams Streams) (int, error) {
	text, err := readScript(name, script)
	if err != nil {
		return 0, err
	}
	parsed, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(bytes.NewReader(text), name)
	if err != nil {
		return 0, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	runner, err := interp.New(
		interp.StdIO(streams.In, streams.Out, streams.Err),
		interp.Params(append([]string{"--"}, arguments...)...),
		interp.ExecHandlers(builtIn),
		interp.CallHandler(notTooDeep),
		interp.OpenHandler(open),
	)
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

// readScript reads a script and takes away what editors of Windows leave in it.
func readScript(name string, script io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(script, maxScript+1))
	switch {
	case err != nil:
		return nil, webjob.Errorf(webjob.Unavailable, "%s cannot be read: %w", name, err)
	case len(text) > maxScript:
		return nil, webjob.Errorf(webjob.TooLarge, "%s has more than %d bytes", name, maxScript)
	case bytes.IndexByte(text, 0) >= 0:
		return nil, webjob.Errorf(webjob.Invalid, "%s holds a NUL byte at %d; it is not a script", name, bytes.IndexByte(text, 0))
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // byte order mark
	return bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), nil
}

// builtIn runs the tools of this package.
func builtIn(next interp.ExecHandlerFunc) interp.ExecHandlerFunc {
	return func(ctx context.Context, args []string) error {
		t, found := tools[args[0]]
		if !found {
			return next(ctx, args)
		}
		handler := interp.HandlerCtx(ctx)
		c := &call{
			ctx: ctx, name: args[0], args: args[1:], dir: handler.Dir,
			in: strings.NewReader(""), out: whileAlive{ctx, handler.Stdout}, err: whileAlive{ctx, handler.Stderr},
			env: func(name string) (string, bool) {
				v := handler.Env.Get(name)
				return v.String(), v.IsSet() && v.Exported
			},
			environ: func() []string {
				var list []string
				for name, v := range handler.Env.Each {
					if v.IsSet() && v.Exported {
						list = append(list, name+"="+v.String())
					}
				}
				return list
			},
			exec: func(ctx context.Context, args []string) error { return builtIn(next)(ctx, args) },
		}
		if handler.Stdin != nil {
			c.in = untilDone{ctx, handler.Stdin}
		}
		return c.status(t(c))
	}
}

// clock is the time of tools that tell it.
func clock() time.Time { return time.Now() }
