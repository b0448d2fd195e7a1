// Package streams holds what the interpreters of the endpoint program share: the standard
// streams of a script, the reading of its text, and readers and writers that end with a
// context. It knows no interpreter.
package streams

import (
	"bytes"
	"context"
	"errors"
	"io"

	"webjob.dev/webjob"
)

// Standard are the standard streams of a script.
type Standard struct {
	In       io.Reader
	Out, Err io.Writer
}

// MaxProgram bounds a script or program, in bytes.
const MaxProgram = 64 << 20

// ReadProgram reads a program as it is.
func ReadProgram(name string, program io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(program, MaxProgram+1))
	switch {
	case err != nil:
		return nil, webjob.Errorf(webjob.Unavailable, "%s cannot be read: %w", name, err)
	case len(text) > MaxProgram:
		return nil, webjob.Errorf(webjob.TooLarge, "%s has more than %d bytes", name, MaxProgram)
	}
	return text, nil
}

// ReadScript reads a script and takes away what editors of Windows leave in it.
func ReadScript(name string, script io.Reader) ([]byte, error) {
	text, err := ReadProgram(name, script)
	if err != nil {
		return nil, err
	}
	if at := bytes.IndexByte(text, 0); at >= 0 {
		return nil, webjob.Errorf(webjob.Invalid, "%s holds a NUL byte at %d; it is not a script", name, at)
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // byte order mark
	return bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), nil
}

// Reader reads until a context ends. Other errors than the end are of kind [ReadError].
func Reader(ctx context.Context, r io.Reader) io.Reader { return reader{ctx, r} }

type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = ReadError{err}
	}
	return n, err
}

// ReadError is an error of reading, not of what is done with what was read.
type ReadError struct{ error }

// Unwrap returns the error of the file.
func (e ReadError) Unwrap() error { return e.error }

// Writer writes until a context ends.
func Writer(ctx context.Context, w io.Writer) io.Writer { return writer{ctx, w} }

type writer struct {
	ctx context.Context
	w   io.Writer
}

func (w writer) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.w.Write(p)
}
