package coreutils

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// touch sets the times of files, and makes those that are not there.
func touch(c *call) error {
	at := time.Now()
	if text, given := c.value("d"); given {
		var err error
		if at, err = parseTime(text); err != nil {
			return usageError{fmt.Errorf("-d %w", err)}
		}
	}
	accessed, modified := at, at
	if c.has("a") && !c.has("m") {
		modified = time.Time{} // stays
	}
	if c.has("m") && !c.has("a") {
		accessed = time.Time{}
	}
	for _, name := range c.args {
		if err := touchFile(c.path(name), !c.has("c"), accessed, modified); err != nil {
			c.complain(err)
		}
	}
	return nil
}

func touchFile(path string, create bool, accessed, modified time.Time) error {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if !create {
			return nil
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o666)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return os.Chtimes(path, accessed, modified)
}

// parseTime reads @SECONDS since 1970, or a time as RFC 3339 writes it.
func parseTime(text string) (time.Time, error) {
	if digits, is := strings.CutPrefix(text, "@"); is {
		if seconds, err := strconv.ParseInt(digits, 10, 64); err == nil && digits[0] != '+' {
			return time.Unix(seconds, 0), nil
		}
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("%.40q is not a time such as @1700000000 or 2024-01-31T12:00:00Z", text)
	}
	return t, nil
}
