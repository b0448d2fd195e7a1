package coreutils

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// cat copies files to the output, at once what it has.
func cat(c *call) error {
	return c.inputs(c.args, func(_ string, r io.Reader) error {
		_, err := io.Copy(c.direct(), r)
		return err
	})
}

// tee copies the input to files, too.
func tee(c *call) error {
	writers := []io.Writer{c.direct()}
	how := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	if c.has("a") {
		how = os.O_CREATE | os.O_WRONLY | os.O_APPEND
	}
	var files []*os.File
	for _, name := range c.args {
		f, err := os.OpenFile(c.path(name), how, 0o666)
		if err != nil {
			c.complain(err)
			continue
		}
		files, writers = append(files, f), append(writers, f)
	}
	_, err := io.Copy(io.MultiWriter(writers...), c.in)
	for _, f := range files {
		err = errors.Join(err, f.Close())
	}
	return err
}

// base64Tool writes a file in base64, or reads it; -w is how long lines are, 0 for one.
func base64Tool(c *call) error {
	columns := 76
	if text, given := c.value("w"); given {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return usageError{fmt.Errorf("-w %.40q is not a number of columns", text)}
		}
		columns = int(n)
	}
	return c.inputs(c.args, func(_ string, r io.Reader) error {
		if c.has("d") {
			_, err := io.Copy(c.out, base64.NewDecoder(base64.StdEncoding, r)) // it skips line ends
			return err
		}
		lines := &folder{w: c.out, columns: columns}
		encoder := base64.NewEncoder(base64.StdEncoding, lines)
		if _, err := io.Copy(encoder, r); err != nil {
			return err
		}
		if err := encoder.Close(); err != nil {
			return err
		}
		return lines.end()
	})
}

// folder ends a line after so many columns; 0 is never.
type folder struct {
	w           io.Writer
	columns, at int
}

func (f *folder) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := len(rest)
		if f.columns > 0 {
			n = min(n, f.columns-f.at)
		}
		if _, err := f.w.Write(rest[:n]); err != nil {
			return 0, err
		}
		rest, f.at = rest[n:], f.at+n
		if f.at == f.columns {
			if err := f.end(); err != nil {
				return 0, err
			}
		}
	}
	return len(p), nil
}

func (f *folder) end() error {
	if f.at == 0 || f.columns == 0 {
		return nil
	}
	f.at = 0
	_, err := io.WriteString(f.w, "\n")
	return err
}
