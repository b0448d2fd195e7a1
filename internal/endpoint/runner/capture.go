package runner

import (
	"fmt"
	"io"
	"os"

	"webjob.dev/webjob"
)

// Capture keeps one stream of a job in a file, up to a limit, and digests what it
// keeps. It always takes everything that the job writes, so that a full file or
// disk never blocks the job.
type Capture struct {
	name     string
	file     *os.File
	limit    int64
	digester *webjob.Digester
	written  int64
	err      error
	overflow chan<- string // told once when the limit is passed; may be nil
}

// NewCapture keeps at most limit bytes in file, which the caller closes.
func NewCapture(name string, file *os.File, limit int64) *Capture {
	return &Capture{name: name, file: file, limit: limit, digester: webjob.NewDigester()}
}

// Write keeps what fits and never fails.
func (c *Capture) Write(p []byte) (int, error) {
	before := c.written
	c.written += int64(len(p))
	if room := c.limit - c.digester.Size(); c.err == nil && room > 0 {
		kept := p[:min(int64(len(p)), room)]
		n, err := c.file.Write(kept)
		_, _ = c.digester.Write(kept[:n]) // never fails
		if err != nil {
			c.err = fmt.Errorf("the rest of %s was lost: %w", c.name, err)
		}
	}
	if c.overflow != nil && before <= c.limit && c.written > c.limit {
		c.overflow <- c.name // has room for both streams
	}
	return len(p), nil
}

func (c *Capture) readFrom(r io.Reader) {
	// The read ends with the pipe, or when the runner closes it; both are the end.
	_, _ = io.CopyBuffer(struct{ io.Writer }{c}, r, make([]byte, 64<<10))
}

// Stream describes what was kept. Call it after Run.
func (c *Capture) Stream() webjob.Stream {
	s := webjob.Stream{
		Name: c.name, Digest: c.digester.Digest(), Size: c.digester.Size(),
		Written: c.written, Truncated: c.written > c.digester.Size(),
	}
	if c.err != nil {
		s.Error = c.err.Error()
	}
	return s
}
