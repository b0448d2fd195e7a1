package coreutils

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// ln makes a link, hard or with -s symbolic; -f in place of what has the name.
func ln(c *call) error {
	target, name := c.args[0], c.path(c.args[1])
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		name = filepath.Join(name, filepath.Base(target))
	}
	link := func(name string) error { return os.Link(c.path(target), name) }
	if c.has("s") {
		link = func(name string) error { return os.Symlink(target, name) }
	} else if same(c.path(target), name) {
		return fmt.Errorf("%s and %s are the same file", target, c.args[1])
	}
	existing, err := os.Lstat(name)
	if !c.has("f") || err != nil {
		return link(name)
	}
	if existing.IsDir() {
		return fmt.Errorf("%s is a folder; it is not replaced", c.args[1])
	}
	// What had the name goes only when the link is there.
	for n := range 1000 {
		next := name + ".ln" + strconv.Itoa(n)
		err := link(next)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.Rename(next, name); err != nil { //nolint:forbidigo // a link, not what a file holds
			return errors.Join(err, os.Remove(next))
		}
		return nil
	}
	return fmt.Errorf("there is no free name beside %s", c.args[1])
}

// same says whether two names are one file, links not followed.
func same(a, b string) bool {
	x, err1 := os.Lstat(a)
	y, err2 := os.Lstat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// readlink prints where links lead; -f the whole path, of which the last part need not be
// there.
func readlink(c *call) error {
	failed := false
	for _, name := range c.args {
		target, err := os.Readlink(c.path(name))
		if c.has("f") {
			target, err = resolve(c.path(name))
		}
		if err != nil {
			failed = true
			continue
		}
		if _, err := fmt.Fprintln(c.out, target); err != nil {
			return err
		}
	}
	if failed {
		return exit(1) // as everywhere, without a word
	}
	return nil
}

// resolve follows links. Those that lead in a circle end with another error than that
// nothing is there.
func resolve(name string) (string, error) {
	full, err := filepath.EvalSymlinks(name)
	if !errors.Is(err, fs.ErrNotExist) || name == "" {
		return full, err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(name))
	if err != nil {
		return "", err
	}
	full = filepath.Join(dir, filepath.Base(name))
	target, err := os.Readlink(full)
	if err != nil { // no link: it is what is not there
		return full, nil //nolint:nilerr // as -f wants it
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(dir, target)
	}
	return resolve(target)
}
