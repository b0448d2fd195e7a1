package runner

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"webjob.dev/webjob"
)

// maxInMemory is the largest payload that is placed in memory.
const maxInMemory = 64 << 20

// Placed is a payload that is ready to run: its bytes were checked where they
// are, and nobody but this user and root can change them.
type Placed struct {
	Path     string     // to execute, or to hand to an interpreter
	Inherit  []*os.File // to hand to the job, from descriptor 3 up
	InMemory bool
	file     *os.File
}

// Place writes a payload with fill and checks it: in memory where the platform
// can run a program from there and it is not too large, else as a new file in dir,
// which must be private to this user. The error is Refused when the bytes in place
// are not the manifest's.
func Place(dir string, p webjob.Payload, interpreter []string, fill func(io.Writer) error) (*Placed, error) {
	placed, err := placeInMemory(p, fill)
	if placed == nil && err == nil {
		placed, err = placeInFile(dir, interpreter, fill)
	}
	if err != nil {
		return nil, err
	}
	if err := placed.check(p); err != nil {
		return nil, errors.Join(err, placed.Close())
	}
	return placed, nil
}

// placeInFile writes a new file that only its owner may read and run.
func placeInFile(dir string, interpreter []string, fill func(io.Writer) error) (*Placed, error) {
	name := filepath.Join(dir, payloadName(interpreter))
	// O_EXCL fails on anything that is there already, a symbolic link included.
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o500)
	if err != nil {
		return nil, placeError(err)
	}
	err = fill(f)
	if closeErr := f.Close(); err == nil {
		err = placeError(closeErr)
	}
	if err != nil {
		return nil, err
	}
	readable, err := os.OpenFile(name, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return nil, placeError(err)
	}
	return &Placed{Path: name, file: readable}, nil
}

// payloadName is the file name: Windows chooses how to run a file by its ending.
func payloadName(interpreter []string) string {
	if os.PathSeparator != '\\' {
		return "payload"
	}
	if len(interpreter) == 0 {
		return "payload.exe"
	}
	switch program := strings.ToLower(filepath.Base(interpreter[0])); strings.TrimSuffix(program, ".exe") {
	case "powershell", "pwsh":
		return "payload.ps1"
	case "cmd":
		return "payload.cmd"
	}
	return "payload"
}

// check reads the bytes that will run.
func (p *Placed) check(payload webjob.Payload) error {
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return placeError(err)
	}
	d, size, err := webjob.DigestReader(p.file)
	if err != nil {
		return placeError(err)
	}
	if d != payload.Digest || size != payload.Size {
		return webjob.Errorf(webjob.Refused, "the payload in place is %s with %d bytes and the manifest names %s with %d; something on this host changed it",
			d, size, payload.Digest, payload.Size)
	}
	return nil
}

// Content returns the bytes that will run.
func (p *Placed) Content() io.ReadSeeker { return p.file }

// Close releases the payload; a file is removed with its folder by the caller.
func (p *Placed) Close() error { return p.file.Close() }

func placeError(err error) error {
	if err == nil {
		return nil
	}
	return webjob.Errorf(webjob.Unavailable, "the payload cannot be placed: %w", err)
}
