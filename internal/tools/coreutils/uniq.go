package coreutils

import (
	"errors"
	"fmt"
)

// uniq leaves one of lines that follow each other and are the same.
func uniq(c *call) error {
	counts, repeated, single := c.has("c"), c.has("d"), c.has("u")
	before, n := "", 0
	show := func() error {
		if n == 0 || repeated && n == 1 || single && n > 1 {
			return nil
		}
		if counts {
			_, _ = fmt.Fprintf(c.out, "%7d ", n) // an error sticks
		}
		_, err := fmt.Fprintln(c.out, before)
		return err
	}
	err := c.lines(c.args, func(_, line string) error {
		if n > 0 && line == before {
			n++
			return nil
		}
		err := show()
		before, n = line, 1
		return err
	})
	return errors.Join(err, show())
}
