package coreutils

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// rm removes files and, with -r, folders with all that is in them.
func rm(c *call) error {
	force := c.has("f")
	if len(c.args) == 0 && !force {
		return usageError{errors.New("name what is to be removed")}
	}
	for _, name := range c.args {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		err := c.remove(name)
		if force && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)) {
			continue
		}
		if err != nil {
			c.complain(err)
		}
	}
	return nil
}

// isKept says whether a path is one that rm never removes.
func isKept(path string) bool {
	last := filepath.Base(strings.TrimRight(path, "/"))
	return last == "." && path != "" || last == ".." || filepath.Clean(path) == filepath.VolumeName(path)+string(os.PathSeparator)
}

func (c *call) remove(name string) error {
	path := c.path(name)
	if name == "" {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if isKept(path) || isKept(name) {
		return fmt.Errorf("%s is not removed: it is the root, or where the script is", name)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.IsDir() && !c.recursive() {
		return fmt.Errorf("%s is a folder, which needs -r", name)
	}
	if c.has("i") && !c.has("f") && !c.ask("remove", name) {
		return nil
	}
	if info.IsDir() {
		err = os.RemoveAll(path)
	} else {
		err = os.Remove(path)
	}
	if err == nil && c.has("v") {
		_, err = fmt.Fprintf(c.out, "removed '%s'\n", name)
	}
	return err
}
