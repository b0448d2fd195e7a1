package shell

import (
	"context"
	"errors"
	"fmt"
	"io"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"webjob.dev/webjob/internal/tools/coreutils"
)

// builtIn runs the tools of package coreutils, and leaves other names to next.
func builtIn(next interp.ExecHandlerFunc) interp.ExecHandlerFunc {
	return func(ctx context.Context, args []string) error {
		if !coreutils.Has(args[0]) {
			return next(ctx, args)
		}
		handler := interp.HandlerCtx(ctx)
		env := coreutils.Env{
			In: handler.Stdin, Out: handler.Stdout, Err: handler.Stderr, Dir: handler.Dir,
			Lookup: func(name string) (string, bool) {
				v := handler.Env.Get(name)
				return v.String(), v.IsSet() && v.Exported
			},
			Environ: func() []string { return exported(handler.Env) },
			Exec: func(ctx context.Context, argv []string, in io.Reader) (int, error) {
				return execute(ctx, handler, argv, in)
			},
		}
		status, err := coreutils.Run(ctx, env, args)
		if err == nil && status != 0 {
			return interp.ExitStatus(status)
		}
		return err
	}
}

// exported returns the variables that commands get.
func exported(env expand.Environ) []string {
	var list []string
	for name, v := range env.Each {
		if v.IsSet() && v.Exported {
			list = append(list, name+"="+v.String())
		}
	}
	return list
}

// maxCommands bounds how deep commands run each other.
const maxCommands = 100

// depthKey is where a context keeps how deep.
type depthKey struct{}

// execute runs a command of env, find or xargs: a builtin of the shell, a tool or a
// program of the host, but no function, in a shell of its own. Without in its standard
// input is empty.
func execute(ctx context.Context, handler interp.HandlerContext, argv []string, in io.Reader) (int, error) {
	depth, _ := ctx.Value(depthKey{}).(int)
	if depth == maxCommands {
		return 0, fmt.Errorf("more than %d commands run each other, as env env env does", maxCommands)
	}
	ctx = context.WithValue(ctx, depthKey{}, depth+1)
	runner, err := newRunner(interp.StdIO(in, handler.Stdout, handler.Stderr), interp.Dir(handler.Dir), interp.Env(expand.ListEnviron(exported(handler.Env)...)))
	if err != nil {
		return 0, err
	}
	call := &syntax.CallExpr{}
	for _, word := range argv {
		call.Args = append(call.Args, &syntax.Word{Parts: []syntax.WordPart{&syntax.SglQuoted{Value: word}}})
	}
	err = runner.Run(ctx, &syntax.Stmt{Cmd: call})
	var status interp.ExitStatus
	if errors.As(err, &status) {
		return int(status), nil
	}
	return 0, err
}
