package coreutils

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"webjob.dev/webjob/internal/tools/streams"
)

// cp copies files and, with -r, folders. Links below a folder stay links.
func cp(call *call) error {
	c := copying{call}
	return c.intoTarget(func(from, to string) error {
		follow := !c.has("P") && !c.recursive()
		return c.copyTree(from, to, follow)
	})
}

// copying is a call of a tool that copies or moves.
type copying struct{ *call }

func (c *call) recursive() bool { return c.has("r") || c.has("R") }

// intoTarget calls use with each operand but the last, and where it goes: the last operand,
// or a name below it when that is a folder.
func (c copying) intoTarget(use func(from, to string) error) error {
	target := c.args[len(c.args)-1]
	info, err := os.Stat(c.path(target))
	isFolder := err == nil && info.IsDir()
	if !isFolder && (len(c.args) > 2 || strings.HasSuffix(target, "/") && c.name != "mv" && !c.recursive()) {
		return fmt.Errorf("%s is not a folder", target)
	}
	for _, from := range c.args[:len(c.args)-1] {
		to := target
		if isFolder {
			to = filepath.Join(target, filepath.Base(from))
		}
		if err := use(from, to); err != nil {
			if c.ctx.Err() != nil {
				return err
			}
			c.complain(err)
		}
	}
	return nil
}

// copyTree copies one file or folder. What fails below a folder is reported, and the
// rest goes on.
func (c copying) copyTree(from, to string, follow bool) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	look := os.Lstat
	if follow {
		look = os.Stat
	}
	info, err := look(c.path(from))
	if err != nil {
		return err
	}
	old, oldErr := os.Stat(c.path(to))
	switch {
	case info.IsDir() && !c.recursive():
		return fmt.Errorf("%s is a folder, which needs -r; it is left out", from)
	case oldErr == nil && os.SameFile(info, old):
		return fmt.Errorf("%s and %s are the same file", from, to)
	case oldErr == nil && old.IsDir() != info.IsDir():
		return fmt.Errorf("%s and %s are not both folders", from, to)
	case info.IsDir() && isBelow(filepath.Dir(c.path(to)), info):
		return fmt.Errorf("%s is not copied into itself, %s", from, to)
	case info.IsDir():
		return c.copyFolder(from, to, info, oldErr != nil)
	case oldErr == nil && c.has("i") && !c.ask("overwrite", to):
		return nil
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		err = c.copyLink(from, to)
	case info.Mode().IsRegular() || follow && !c.recursive():
		err = c.copyFile(from, to, info)
	default:
		err = fmt.Errorf("%s is neither a file nor a folder nor a link; it is left out", from)
	}
	if err == nil && c.has("v") {
		_, err = fmt.Fprintf(c.out, "'%s' -> '%s'\n", from, to)
	}
	return err
}

func (c copying) copyFolder(from, to string, info fs.FileInfo, create bool) error {
	if create {
		if err := os.Mkdir(c.path(to), info.Mode().Perm()|0o700); err != nil {
			return err
		}
		if c.has("v") {
			_, _ = fmt.Fprintf(c.out, "'%s' -> '%s'\n", from, to) // an error sticks
		}
	}
	entries, err := os.ReadDir(c.path(from))
	if err != nil {
		c.complain(err)
	}
	for _, e := range entries {
		if err := c.copyTree(filepath.Join(from, e.Name()), filepath.Join(to, e.Name()), false); err != nil {
			if c.ctx.Err() != nil {
				return err
			}
			c.complain(err)
		}
	}
	if create {
		made, err := os.Stat(c.path(to))
		if err != nil {
			return err
		}
		return os.Chmod(c.path(to), made.Mode().Perm()&^0o700|info.Mode().Perm()&0o700)
	}
	return nil
}

// isBelow says whether a name is, or would be, inside of a folder.
func isBelow(name string, folder fs.FileInfo) bool {
	for {
		if info, err := os.Stat(name); err == nil {
			real, err := filepath.EvalSymlinks(name)
			if err != nil || os.SameFile(info, folder) {
				return err == nil
			}
			name = real
		}
		parent := filepath.Dir(name)
		if parent == name {
			return false
		}
		name = parent
	}
}

func (c copying) copyLink(from, to string) error {
	target, err := os.Readlink(c.path(from))
	if err != nil {
		return err
	}
	if err := os.Remove(c.path(to)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(target, c.path(to))
}

func (c copying) copyFile(from, to string, info fs.FileInfo) error {
	in, err := os.Open(c.path(from))
	if err != nil {
		return err
	}
	out, err := os.OpenFile(c.path(to), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, info.Mode().Perm())
	if err != nil && c.has("f") && os.Remove(c.path(to)) == nil {
		out, err = os.OpenFile(c.path(to), os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	}
	if err != nil {
		return errors.Join(err, in.Close())
	}
	_, err = io.Copy(out, streams.Reader(c.ctx, in))
	return errors.Join(err, out.Close(), in.Close())
}

// ask asks a question and reads a line of the input; only one that begins with y is a yes.
func (c *call) ask(what, name string) bool {
	_, _ = fmt.Fprintf(c.err, "%s: %s %s? ", c.name, what, name)
	if c.answers == nil {
		c.answers = bufio.NewReader(c.in)
	}
	answer, _ := readLine(c.answers) // none is a no
	return strings.HasPrefix(strings.ToLower(answer), "y")
}

// mv renames files and folders; to another file system it copies and removes them.
func mv(call *call) error {
	c := copying{call}
	return c.intoTarget(func(from, to string) error {
		info, err := os.Lstat(c.path(from))
		if err != nil {
			return err
		}
		old, oldErr := os.Lstat(c.path(to))
		switch {
		case oldErr == nil && os.SameFile(info, old):
			return fmt.Errorf("%s and %s are the same file", from, to)
		case oldErr == nil && (c.has("n") || c.has("u") && !info.ModTime().After(old.ModTime())):
			return nil
		}
		err = os.Rename(c.path(from), c.path(to)) //nolint:forbidigo // that is what mv does
		if !errors.Is(err, syscall.EXDEV) {
			return err
		}
		return c.moveAcross(from, to)
	})
}

// moveAcross copies to another file system with mode and time, and removes the original
// only when all was copied.
func (c copying) moveAcross(from, to string) error {
	before := c.failed
	c.failed = false
	c.options = append(c.options, given{option: option{letter: 'r'}})
	if err := c.copyTree(from, to, false); err != nil {
		return err
	}
	if c.failed {
		return fmt.Errorf("%s was not copied whole; it stays", from)
	}
	c.failed = before
	err := c.walk(from, func(name string, entry fs.DirEntry, _ int) error {
		info, err := entry.Info()
		if err != nil || info.Mode()&fs.ModeSymlink != 0 {
			return err
		}
		copied := filepath.Join(c.path(to), strings.TrimPrefix(strings.TrimPrefix(name, from), "/"))
		return errors.Join(os.Chmod(copied, info.Mode()), os.Chtimes(copied, info.ModTime(), info.ModTime()))
	})
	if err != nil {
		return err
	}
	return os.RemoveAll(c.path(from))
}
