package coreutils

import (
	"errors"
	"fmt"
	"io"

	"webjob.dev/webjob/internal/tools/hash"
)

// sum prints digests of files, or checks a list of them.
func sum(algorithm string) func(*call) error {
	return func(c *call) error {
		set, err := hash.New(algorithm)
		if err != nil {
			return err
		}
		if c.has("c") {
			return c.checkSums(set, algorithm)
		}
		if c.has("quiet") {
			return usageError{errors.New("--quiet goes with -c only")}
		}
		return c.inputs(c.args, func(name string, r io.Reader) error {
			digests, _, err := set.Sum(r)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.out, hash.Format(algorithm, digests[0], name, false))
			return err
		})
	}
}

// checkSums reads lists of digests and compares. A line that is none is reported.
func (c *call) checkSums(set *hash.Set, algorithm string) error {
	length := len(emptyDigest(set))
	checked := 0
	err := c.lines(c.args, func(_, text string) error {
		line, err := hash.ParseLine(text)
		if err == nil && (line.Algorithm != "" && line.Algorithm != algorithm || len(line.Digest) != length) {
			err = fmt.Errorf("%.80q is not a digest of kind %s", text, algorithm)
		}
		if err != nil {
			c.complain(err)
			return nil
		}
		checked++
		verdict := "OK"
		digests, _, err := set.SumFile(c.path(line.Name))
		switch {
		case err != nil:
			c.complain(err)
			verdict = "FAILED open or read"
		case digests[0] != line.Digest:
			c.failed, verdict = true, "FAILED"
		}
		if c.has("quiet") && verdict == "OK" {
			return nil
		}
		_, err = fmt.Fprintf(c.out, "%s: %s\n", line.Name, verdict)
		return err
	})
	if err == nil && checked == 0 && !c.failed {
		return errors.New("the list holds no digests")
	}
	return err
}

// emptyDigest is the digest of nothing.
func emptyDigest(set *hash.Set) string {
	digests, _, err := set.Sum(emptyReader{})
	if err != nil {
		return ""
	}
	return digests[0]
}

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, io.EOF }
