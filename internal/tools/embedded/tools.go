package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/u-root/u-root/pkg/core"
	"github.com/u-root/u-root/pkg/core/base64"
	"github.com/u-root/u-root/pkg/core/cat"
	"github.com/u-root/u-root/pkg/core/chmod"
	"github.com/u-root/u-root/pkg/core/cp"
	"github.com/u-root/u-root/pkg/core/mkdir"
	"github.com/u-root/u-root/pkg/core/mktemp"
	"github.com/u-root/u-root/pkg/core/mv"
	"github.com/u-root/u-root/pkg/core/rm"
	"github.com/u-root/u-root/pkg/core/touch"
	"mvdan.cc/sh/v3/interp"
)

// tool is one built-in utility. An error of kind [exit] is its status alone.
type tool func(*call) error

// Tools returns the names of the built-in utilities, in order.
func Tools() []string {
	var names []string
	for name := range tools {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// tools are the utilities by name.
var tools = map[string]tool{
	"base64": uroot(func() core.Command { return base64.New() }),
	"cat":    uroot(func() core.Command { return cat.New() }),
	"chmod":  uroot(func() core.Command { return chmod.New() }),
	"cp":     uroot(func() core.Command { return cp.New() }),
	"mkdir":  uroot(func() core.Command { return mkdir.New() }),
	"mktemp": uroot(func() core.Command { return mktemp.New() }),
	"mv":     uroot(func() core.Command { return mv.New() }),
	"rm":     uroot(func() core.Command { return rm.New() }),
	"touch":  uroot(func() core.Command { return touch.New() }),

	"basename": basename, "cut": cut, "date": date, "df": df, "dirname": dirname, "env": env, "find": find, "grep": grep,
	"gunzip": gzipFiles, "gzcat": gzipFiles, "gzip": gzipFiles, "zcat": gzipFiles, "head": head,
	"hostname": hostname, "id": id, "ln": ln, "ls": ls, "ps": ps, "readlink": readlink, "sed": sed, "seq": seq, "sleep": sleep,
	"sockets": sockets, "sort": sortLines, "stat": stat, "tail": tail, "tar": tarFiles, "tee": tee, "tr": tr, "uname": uname, "uniq": uniq, "wc": wc, "xargs": xargs,
	"find-known": findKnown, "find-numbers": findNumbers, "snapshot": takeSnapshot, "snapshot-compare": compareSnapshots,
	"md5sum": sum("md5"), "sha1sum": sum("sha1"), "sha256sum": sum("sha256"), "sha512sum": sum("sha512"),
}

// uroot makes a tool of a command of u-root.
func uroot(make func() core.Command) tool {
	return func(c *call) error {
		command := make()
		command.SetIO(c.in, c.out, c.err)
		command.SetWorkingDir(c.dir)
		command.SetLookupEnv(c.env)
		return command.RunContext(c.ctx, c.args...)
	}
}

// call is one use of a tool.
type call struct {
	ctx      context.Context
	name     string
	args     []string // without the name; after parse without the options
	in       io.Reader
	out, err io.Writer
	dir      string
	env      func(string) (string, bool)
	environ  func() []string
	exec     func(ctx context.Context, args []string) error
	failed   bool // something was reported, and the tool went on
}

// exit is a status without a message.
type exit int

func (e exit) Error() string { return fmt.Sprint("exit status ", int(e)) }

// usage is a wrong use.
type usage struct{ error }

// status turns what a tool returned into the status that the shell wants.
func (c *call) status(err error) error {
	var code exit
	var wrong usage
	var inner interp.ExitStatus
	switch {
	case err == nil && c.failed:
		return interp.ExitStatus(1)
	case err == nil:
		return nil
	case errors.As(err, &code):
		return interp.ExitStatus(code)
	case errors.As(err, &inner): // of a command that a tool ran
		return inner
	case c.ctx.Err() != nil:
		return c.ctx.Err()
	}
	c.complain(err)
	if errors.As(err, &wrong) {
		return interp.ExitStatus(2)
	}
	return interp.ExitStatus(1)
}

// complain reports an error; the tool goes on and fails at its end.
func (c *call) complain(err error) {
	c.failed = true
	_, _ = fmt.Fprintf(c.err, "%s: %v\n", c.name, err) // nobody else to tell
}

// parse reads the options and leaves what follows them in args; at least and at most
// so many, -1 for no bound.
func (c *call) parse(declare func(*pflag.FlagSet), least, most int) error {
	flags := pflag.NewFlagSet(c.name, pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.SetInterspersed(c.name != "env" && c.name != "xargs")
	if declare != nil {
		declare(flags)
	}
	if err := flags.Parse(c.args); err != nil {
		return usage{err}
	}
	c.args = flags.Args()
	switch n := len(c.args); {
	case n < least:
		return usage{fmt.Errorf("%d arguments; it takes at least %d", n, least)}
	case most >= 0 && n > most:
		return usage{fmt.Errorf("%d arguments; it takes at most %d", n, most)}
	}
	return nil
}

// path makes a path that is relative to the script's folder one of this process.
func (c *call) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(c.dir, name)
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
		if name == "-" {
			if err := use(name, c.in); err != nil {
				return err
			}
			continue
		}
		f, err := os.Open(c.path(name))
		if err == nil {
			if info, statErr := f.Stat(); statErr == nil && info.IsDir() {
				err = &fs.PathError{Op: "read", Path: name, Err: errors.New("is a folder")}
				_ = f.Close() // only opened
			}
		}
		if err != nil {
			c.complain(err)
			continue
		}
		err = use(name, untilDone{c.ctx, f})
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		var unreadable readError
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

// lines calls use with each line of each file, without its end.
func (c *call) lines(files []string, use func(name, line string) error) error {
	return c.inputs(files, func(name string, r io.Reader) error {
		reader := bufio.NewReaderSize(r, 64<<10)
		for {
			line, err := readLine(reader)
			if line != "" {
				if err := use(name, strings.TrimSuffix(line, "\n")); err != nil {
					return err
				}
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
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

// untilDone reads until its context ends.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := u.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = readError{err}
	}
	return n, err
}

// readError is an error of reading, not of what is done with what was read.
type readError struct{ error }

func (e readError) Unwrap() error { return e.error }

// whileAlive writes until its context ends.
type whileAlive struct {
	ctx context.Context
	w   io.Writer
}

func (a whileAlive) Write(p []byte) (int, error) {
	if err := a.ctx.Err(); err != nil {
		return 0, err
	}
	return a.w.Write(p)
}

// buffered gives a tool an output that is flushed at its end.
func (c *call) buffered(do func(w *bufio.Writer) error) error {
	w := bufio.NewWriterSize(c.out, 32<<10)
	return errors.Join(do(w), w.Flush())
}

// printable keeps a hostile name from writing lines or moving cursors.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
