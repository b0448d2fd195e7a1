package coreutils

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// mkdir makes folders.
func mkdir(c *call) error {
	mode, given := c.value("m")
	var changes []modeChange
	var err error
	if given {
		if changes, err = parseMode(mode); err != nil {
			return usageError{err}
		}
	}
	for _, name := range c.args {
		if err := c.makeFolder(name, changes); err != nil {
			c.complain(err)
		}
	}
	return nil
}

func (c *call) makeFolder(name string, changes []modeChange) error {
	path := c.path(name)
	_, err := os.Stat(path)
	isNew := errors.Is(err, fs.ErrNotExist)
	if c.has("p") {
		err = os.MkdirAll(path, 0o777)
	} else {
		err = os.Mkdir(path, 0o777)
	}
	if err != nil {
		return err
	}
	if isNew && len(changes) > 0 {
		if err := os.Chmod(path, changed(0o777|fs.ModeDir, changes)); err != nil {
			return err
		}
	}
	if isNew && c.has("v") {
		_, err = fmt.Fprintf(c.out, "mkdir: created directory '%s'\n", name)
	}
	return err
}

// mktemp makes a file, or with -d a folder, whose name nobody can guess, and prints it.
func mktemp(c *call) error {
	template := "tmp.XXXXXXXXXX"
	dir, given := c.value("p")
	if len(c.args) > 0 {
		template = c.args[0]
	} else if !given {
		dir, given = "", true
	}
	if given && dir == "" {
		if dir, _ = c.env.Lookup("TMPDIR"); dir == "" {
			dir = os.TempDir()
		}
	}
	suffix, _ := c.value("suffix")
	stem := strings.TrimRight(template, "X")
	wild := len(template) - len(stem)
	switch {
	case wild < 3:
		return usageError{fmt.Errorf("%.80q does not end with XXX or more", template)}
	case strings.ContainsAny(suffix, `/\`):
		return usageError{fmt.Errorf("--suffix %.40q holds a path", suffix)}
	case given && filepath.IsAbs(template):
		return usageError{fmt.Errorf("%.80q is absolute; it goes with no -p", template)}
	}
	for range 100 {
		text := rand.Text() + rand.Text() // 26 characters each
		for len(text) < wild {
			text += rand.Text()
		}
		name := stem + text[:wild] + suffix
		if given {
			name = filepath.Join(dir, name)
		}
		err := c.makeTemporary(c.path(name))
		switch {
		case errors.Is(err, fs.ErrExist):
			continue
		case err != nil && c.has("q"):
			return exit(1)
		case err != nil:
			return err
		}
		_, err = fmt.Fprintln(c.out, name)
		return err
	}
	return fmt.Errorf("all names like %.80q are taken", template)
}

func (c *call) makeTemporary(path string) error {
	switch {
	case c.has("u"):
		if _, err := os.Lstat(path); err == nil {
			return fs.ErrExist
		}
		return nil
	case c.has("d"):
		return os.Mkdir(path, 0o700)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}
