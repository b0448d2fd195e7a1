package coreutils

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// gzipFiles compresses files in place of themselves, or with -c to the output. It ends
// with 2 when a file was left out.
func gzipFiles(c *call) error {
	g := &gzipCall{call: c, level: gzip.DefaultCompression, decompress: c.name != "gzip" || c.has("d"), toOutput: c.has("c") || strings.HasSuffix(c.name, "cat")}
	for _, o := range c.options {
		if o.letter >= '1' && o.letter <= '9' {
			g.level = int(o.letter - '0')
		}
	}
	files := slices.DeleteFunc(slices.Clone(c.args), g.isFolder)
	if len(files) == 0 && g.leftOut {
		return exit(2)
	}
	err := c.inputs(files, func(name string, r io.Reader) error {
		if g.toOutput || name == "-" {
			if err := g.convert(c.out, r); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		}
		if err := g.replace(name, r); err != nil {
			c.complain(err)
		}
		return nil
	})
	if err == nil && !c.failed && g.leftOut {
		return exit(2)
	}
	return err
}

type gzipCall struct {
	*call
	level                int
	decompress, toOutput bool
	leftOut              bool
}

func (g *gzipCall) convert(w io.Writer, r io.Reader) error {
	if g.decompress {
		z, err := gzip.NewReader(r)
		if errors.Is(err, io.EOF) {
			return errors.New("it is empty, not in gzip format")
		}
		if err != nil {
			return err
		}
		_, err = io.Copy(w, z) //nolint:gosec // the job's limits bound it
		return errors.Join(err, z.Close())
	}
	z, err := gzip.NewWriterLevel(w, g.level)
	if err != nil {
		return err
	}
	_, err = io.Copy(z, r)
	return errors.Join(err, z.Close())
}

// leave says why a file is left out.
func (g *gzipCall) leave(name, why string) {
	failed := g.failed
	g.complain(fmt.Errorf("%s %s; it is left out", name, why))
	g.failed, g.leftOut = failed, true
}

func (g *gzipCall) isFolder(name string) bool {
	info, err := os.Stat(g.path(name))
	if name == "-" || err != nil || !info.IsDir() {
		return false
	}
	g.leave(name, "is a folder")
	return true
}

// target is the name of what a file becomes.
func (g *gzipCall) target(name string) (to string, ok bool) {
	stem, packed := strings.CutSuffix(name, ".gz")
	switch {
	case !g.decompress && packed && !g.has("f"):
		g.leave(name, "has the suffix .gz already")
		return "", false
	case !g.decompress:
		return name + ".gz", true
	case packed:
		return stem, true
	case strings.HasSuffix(name, ".tgz"):
		return strings.TrimSuffix(name, ".tgz") + ".tar", true
	}
	g.leave(name, "does not end with .gz")
	return "", false
}

// replace turns a file, with its mode and time, into another that takes its place.
func (g *gzipCall) replace(name string, r io.Reader) error {
	to, ok := g.target(name)
	if !ok {
		return nil
	}
	info, err := os.Lstat(g.path(name))
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() && !g.has("f") {
		g.leave(name, "is not a regular file")
		return nil
	}
	how := os.O_CREATE | os.O_WRONLY | os.O_EXCL
	if g.has("f") {
		how = os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	}
	f, err := os.OpenFile(g.path(to), how, 0o600)
	if errors.Is(err, os.ErrExist) {
		g.leave(name, "would replace "+to+", which needs -f")
		return nil
	}
	if err != nil {
		return err
	}
	err = errors.Join(g.convert(f, r), f.Chmod(info.Mode().Perm()), f.Close())
	if err == nil {
		err = os.Chtimes(g.path(to), info.ModTime(), info.ModTime())
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", name, err), os.Remove(g.path(to)))
	}
	if g.has("k") {
		return nil
	}
	return os.Remove(g.path(name))
}
