package coreutils

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"webjob.dev/webjob/internal/tools/host"
	"webjob.dev/webjob/internal/tools/streams"
)

// call is one use of a tool.
type call struct {
	ctx     context.Context
	name    string
	args    []string // operands; of a plain tool all arguments
	options []given
	env     Env
	in      io.Reader
	out     *bufio.Writer // flushed at the end and before a command runs; an error sticks
	err     io.Writer
	answers *bufio.Reader // of ask
	failed  bool          // something was reported, and the tool went on
}

func newCall(ctx context.Context, env Env, argv []string) *call {
	c := &call{ctx: ctx, name: argv[0], args: argv[1:], env: env, in: strings.NewReader("")}
	if env.In != nil {
		c.in = streams.Reader(ctx, env.In)
	}
	c.out, c.err = bufio.NewWriterSize(c.direct(), 32<<10), streams.Writer(ctx, env.Err)
	return c
}

// direct is the output for tools that must hand on at once what they have.
func (c *call) direct() io.Writer { return streams.Writer(c.ctx, c.env.Out) }

// prepare reads the options and leaves the operands in args.
func (c *call) prepare(t tool) error {
	if t.plain {
		return nil
	}
	if t.rewrite != nil {
		c.args = t.rewrite(c.args)
	}
	var err error
	if c.options, c.args, err = t.parse(c.args); err != nil {
		return err
	}
	switch n := len(c.args); {
	case n < t.least:
		return usageError{fmt.Errorf("%d arguments; it takes at least %d", n, t.least)}
	case t.most >= 0 && n > t.most:
		return usageError{fmt.Errorf("%d arguments; it takes at most %d", n, t.most)}
	}
	return nil
}

// exit is a status without a message.
type exit int

func (e exit) Error() string { return fmt.Sprint("exit status ", int(e)) }

// usageError is a wrong use.
type usageError struct{ error }

// ended is an error of a command that a tool ran, which ends the script.
type ended struct{ error }

// brokenPipe is the status of a program whose reader went away: 128 and SIGPIPE.
const brokenPipe = 128 + 13

// finish turns what a tool returned into its status.
func (c *call) finish(err error, t tool) (int, error) {
	var code exit
	var wrong usageError
	var inner ended
	flushed := c.out.Flush()
	switch {
	case errors.As(err, &inner):
		return 0, inner.error
	case c.ctx.Err() != nil:
		return 0, c.ctx.Err()
	case errors.As(err, &wrong):
		c.complain(fmt.Errorf("%w; usage: %s", err, t.usage()))
		return 2, nil
	}
	if err == nil || errors.As(err, &code) {
		err = flushed
	}
	switch {
	case errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe):
		return brokenPipe, nil
	case err != nil:
		c.complain(err)
		return 1, nil
	case code != 0:
		return int(code), nil //nolint:nilerr // the status says it
	case c.failed:
		return 1, nil
	}
	return 0, nil
}

// complain reports an error; the tool goes on and fails at its end.
func (c *call) complain(err error) {
	c.failed = true
	_, _ = fmt.Fprintf(c.err, "%s: %s\n", c.name, host.Printable(strings.ReplaceAll(err.Error(), "\n", "; "))) // nobody else to tell
}

// path makes a path that is relative to the script's folder one of this process.
func (c *call) path(name string) string {
	if filepath.IsAbs(name) || name == "" {
		return name
	}
	return filepath.Join(c.env.Dir, name)
}

// exec runs a command with this standard input, nil for an empty one.
func (c *call) exec(argv []string, in io.Reader) (int, error) {
	if err := c.out.Flush(); err != nil {
		return 0, err
	}
	status, err := c.env.Exec(c.ctx, argv, in)
	if err != nil {
		return 0, ended{err}
	}
	return status, nil
}

// inputs calls use with each file of the list, with "-" and no files for the standard
// input. What cannot be read is reported and left out.
func (c *call) inputs(files []string, use func(name string, r io.Reader) error) error {
	if len(files) == 0 {
		files = []string{"-"}
	}
	for _, name := range files {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		err := c.input(name, use)
		var unreadable streams.ReadError
		if errors.As(err, &unreadable) && c.ctx.Err() == nil {
			c.complain(err)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *call) input(name string, use func(name string, r io.Reader) error) error {
	if name == "-" {
		return use(name, c.in)
	}
	f, err := os.Open(c.path(name))
	if err != nil {
		c.complain(err)
		return nil
	}
	if info, statErr := f.Stat(); statErr == nil && info.IsDir() {
		c.complain(&fs.PathError{Op: "read", Path: name, Err: errors.New("is a folder")})
		return f.Close()
	}
	err = use(name, file{streams.Reader(c.ctx, f), f})
	return errors.Join(err, f.Close())
}

// file is an input that knows what it is.
type file struct {
	io.Reader
	info interface{ Stat() (fs.FileInfo, error) }
}

// lines calls use with each line of each file, without its end.
func (c *call) lines(files []string, use func(name, line string) error) error {
	return c.inputs(files, func(name string, r io.Reader) error {
		return eachLine(r, func(line string) error { return use(name, strings.TrimSuffix(line, "\n")) })
	})
}

// eachLine calls use with each line, with its end; the last may have none.
func eachLine(r io.Reader, use func(line string) error) error {
	reader := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := readLine(reader)
		if line != "" {
			if err := use(line); err != nil {
				return err
			}
		}
		if err != nil {
			return endIsFine(err)
		}
	}
}

// maxLine bounds a line, in bytes: /dev/zero has no line end.
const maxLine = 64 << 20

// readLine reads a line with its end, and the last one without.
func readLine(r *bufio.Reader) (string, error) {
	var long []byte
	for {
		piece, err := r.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			if long == nil {
				return string(piece), err
			}
			return string(append(long, piece...)), err
		}
		if long = append(long, piece...); len(long) > maxLine {
			return "", fmt.Errorf("a line has more than %d bytes", maxLine)
		}
	}
}

func endIsFine(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// walk visits a file or folder and what is below it, by the names that the script
// uses. It follows no links but one that is the root and is named with a "/" at its end.
func (c *call) walk(root string, visit func(name string, entry fs.DirEntry, depth int) error) error {
	if root == "" {
		c.complain(&fs.PathError{Op: "open", Path: root, Err: fs.ErrNotExist})
		return nil
	}
	full := c.path(root)
	if strings.HasSuffix(root, "/") {
		if real, err := filepath.EvalSymlinks(full); err == nil {
			full = real
		}
	}
	full = filepath.Clean(full)
	return filepath.WalkDir(full, func(path string, entry fs.DirEntry, err error) error {
		if c.ctx.Err() != nil {
			return c.ctx.Err()
		}
		if err != nil {
			c.complain(err)
			if entry == nil || !entry.IsDir() || path != full {
				return nil // a folder below was visited before it could not be read
			}
			return fs.SkipDir
		}
		relative, depth := strings.TrimPrefix(strings.TrimPrefix(path, full), string(os.PathSeparator)), 0
		name := root
		if relative != "" {
			depth = strings.Count(relative, string(os.PathSeparator)) + 1
			name = strings.TrimSuffix(root, "/") + "/" + filepath.ToSlash(relative)
		}
		return visit(name, entry, depth)
	})
}
