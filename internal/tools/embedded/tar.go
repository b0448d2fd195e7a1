package embedded

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
)

// tarFiles makes, lists and unpacks archives; -z with gzip, which is found out when
// reading. What is unpacked stays inside of the folder: names that lead out of it, and
// what goes through a link out of it, are errors.
func tarFiles(c *call) error {
	var create, extract, list, zipped, verbose bool
	var file, dir string
	if len(c.args) > 0 && !strings.HasPrefix(c.args[0], "-") {
		c.args[0] = "-" + c.args[0] // the old form, tar cf FILE
	}
	err := c.parse(func(f *pflag.FlagSet) {
		f.BoolVarP(&create, "create", "c", false, "")
		f.BoolVarP(&extract, "extract", "x", false, "")
		f.BoolVarP(&list, "list", "t", false, "")
		f.BoolVarP(&zipped, "gzip", "z", false, "")
		f.BoolVarP(&verbose, "verbose", "v", false, "")
		f.StringVarP(&file, "file", "f", "-", "")
		f.StringVarP(&dir, "directory", "C", ".", "")
	}, 0, -1)
	if err != nil {
		return err
	}
	t := &tarCall{call: c, dir: c.path(dir), zipped: zipped, verbose: verbose}
	switch {
	case create && !extract && !list:
		if len(c.args) == 0 {
			return usage{errors.New("name what goes in")}
		}
		return t.create(file)
	case extract && !create && !list:
		return t.read(file, t.extract)
	case list && !create && !extract:
		return t.read(file, func(h *tar.Header, _ io.Reader) error {
			line := h.Name
			if verbose {
				line = fmt.Sprintf("%s %d/%d %10d %s %s", modeText(h.FileInfo().Mode()), h.Uid, h.Gid, h.Size, h.ModTime.UTC().Format("2006-01-02 15:04:05"), h.Name)
			}
			_, err := fmt.Fprintln(c.out, printable(line))
			return err
		})
	}
	return usage{errors.New("give one of -c, -x and -t")}
}

type tarCall struct {
	*call
	dir             string
	zipped, verbose bool
}

func (t *tarCall) create(file string) error {
	w := io.Writer(bufio.NewWriter(t.out))
	done := w.(*bufio.Writer).Flush
	var self fs.FileInfo
	if file != "-" {
		f, err := os.Create(t.path(file))
		if err != nil {
			return err
		}
		if self, err = f.Stat(); err != nil {
			return errors.Join(err, f.Close())
		}
		w, done = f, f.Close
	}
	if t.zipped {
		z, inner := gzip.NewWriter(w), done
		w, done = z, func() error { return errors.Join(z.Close(), inner()) }
	}
	archive := tar.NewWriter(w)
	t.call.dir = t.dir
	for _, root := range t.args {
		err := t.walk(root, func(name string, entry fs.DirEntry, _ int) error {
			info, err := entry.Info()
			if err != nil {
				t.complain(err)
				return nil
			}
			if self != nil && os.SameFile(self, info) {
				return nil
			}
			return t.add(archive, name, info)
		})
		if err != nil {
			return errors.Join(err, done())
		}
	}
	return errors.Join(archive.Close(), done())
}

func (t *tarCall) add(archive *tar.Writer, name string, info fs.FileInfo) error {
	link := ""
	var f *os.File
	var err error
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		link, err = os.Readlink(t.path(name))
	case info.Mode().IsRegular():
		f, err = os.Open(t.path(name))
	case !info.IsDir():
		err = fmt.Errorf("%s is neither a file nor a folder nor a link; it is left out", name)
	}
	if err != nil {
		t.complain(err)
		return nil
	}
	header, err := tar.FileInfoHeader(info, link)
	if err != nil {
		t.complain(err)
		return nil
	}
	header.Name, header.Format = strings.TrimLeft(path.Clean(filepath.ToSlash(name)), "/"), tar.FormatPAX
	if info.IsDir() {
		header.Name += "/"
	}
	if t.verbose {
		_, _ = fmt.Fprintln(t.err, name) // only told
	}
	if err := archive.WriteHeader(header); err != nil || f == nil {
		return err
	}
	n, err := io.Copy(archive, io.LimitReader(untilDone{t.ctx, f}, header.Size))
	if err == nil && n < header.Size { // it became shorter: the archive must go on
		t.complain(fmt.Errorf("%s became shorter while it was read", name))
		_, err = io.CopyN(archive, zeroes{}, header.Size-n)
	}
	return errors.Join(err, f.Close())
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func (t *tarCall) read(file string, use func(*tar.Header, io.Reader) error) error {
	return t.inputs([]string{file}, func(name string, r io.Reader) error {
		buffered := bufio.NewReader(r)
		r = buffered
		if magic, err := buffered.Peek(2); err == nil && string(magic) == "\x1f\x8b" {
			z, err := gzip.NewReader(buffered)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			r = z
		}
		archive := tar.NewReader(r)
		for {
			header, err := archive.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if err := use(header, archive); err != nil {
				return err
			}
		}
	})
}

func (t *tarCall) extract(h *tar.Header, content io.Reader) error {
	root, err := os.OpenRoot(t.dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // the files in it were closed
	name := path.Clean(h.Name)
	if t.verbose {
		_, _ = fmt.Fprintln(t.err, printable(name)) // only told
	}
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, h.FileInfo().Mode().Perm()|0o700)
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, name)
	case tar.TypeReg:
	default:
		t.complain(fmt.Errorf("%.80q is neither a file nor a folder nor a symbolic link; it is left out", h.Name))
		return nil
	}
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content) //nolint:gosec // the job's limits bound it
	if err == nil {
		err = f.Chmod(h.FileInfo().Mode().Perm())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return root.Chtimes(name, h.ModTime, h.ModTime)
}
