package coreutils

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

	"webjob.dev/webjob/internal/tools/host"
	"webjob.dev/webjob/internal/tools/streams"
)

// tarLetters takes the old form, tar cfC FILE FOLDER: letters without a "-", whose values
// follow in their order.
func tarLetters(args []string) []string {
	if len(args) == 0 || args[0] == "" || strings.HasPrefix(args[0], "-") || strings.Trim(args[0], "cxtzvfC") != "" {
		return args
	}
	var list []string
	rest := args[1:]
	for _, letter := range args[0] {
		list = append(list, "-"+string(letter))
		if (letter == 'f' || letter == 'C') && len(rest) > 0 {
			list[len(list)-1] += rest[0]
			rest = rest[1:]
		}
	}
	return append(list, rest...)
}

// tarFiles makes, lists and unpacks archives; -z with gzip, which is found out when
// reading. What is unpacked stays inside of the folder: names that lead out of it, and
// what goes through a link out of it, are errors. It ends with 2 when anything failed.
func tarFiles(c *call) error {
	file, given := c.value("f")
	if !given {
		file = "-"
	}
	dir, _ := c.value("C")
	t := &tarCall{call: c, file: file, dir: filepath.Join(c.env.Dir, dir), names: c.out}
	if filepath.IsAbs(dir) {
		t.dir = dir
	}
	create, extract, list := c.has("c"), c.has("x"), c.has("t")
	var err error
	switch {
	case create && !extract && !list:
		if len(c.args) == 0 {
			return usageError{errors.New("name what goes in")}
		}
		err = t.create()
	case extract && !create && !list:
		err = t.read(t.extract)
	case list && !create && !extract:
		err = t.read(t.list)
	default:
		return usageError{errors.New("give one of -c, -x and -t")}
	}
	if err != nil && c.ctx.Err() == nil {
		c.complain(err)
	}
	if c.failed {
		return exit(2)
	}
	return err
}

type tarCall struct {
	*call
	file, dir string
	names     io.Writer // where -v goes
}

func (t *tarCall) tell(name string) {
	if t.has("v") {
		_, _ = fmt.Fprintln(t.names, host.Printable(name)) // an error sticks
	}
}

func (t *tarCall) create() error {
	var w io.Writer = t.out
	done := func() error { return nil }
	var self fs.FileInfo
	if t.file == "-" {
		t.names = t.err
	} else {
		f, err := os.Create(t.path(t.file))
		if err != nil {
			return err
		}
		if self, err = f.Stat(); err != nil {
			return errors.Join(err, f.Close())
		}
		w, done = f, f.Close
	}
	if t.has("z") {
		z, inner := gzip.NewWriter(w), done
		w, done = z, func() error { return errors.Join(z.Close(), inner()) }
	}
	archive := tar.NewWriter(w)
	t.env.Dir = t.dir
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
	header.Name, header.Format = inside(name), tar.FormatPAX
	if info.IsDir() {
		header.Name += "/"
	}
	t.tell(header.Name)
	if err := archive.WriteHeader(header); err != nil || f == nil {
		return err
	}
	n, err := io.Copy(archive, io.LimitReader(streams.Reader(t.ctx, f), header.Size))
	if err == nil && n < header.Size { // it became shorter: the archive must go on
		t.complain(fmt.Errorf("%s became shorter while it was read", name))
		_, err = io.CopyN(archive, zeroes{}, header.Size-n)
	}
	return errors.Join(err, f.Close())
}

// inside is a name without what leads out of a folder at its beginning.
func inside(name string) string {
	name = strings.TrimLeft(path.Clean(filepath.ToSlash(name)), "/")
	for {
		rest, leads := strings.CutPrefix(name, "../")
		if !leads {
			break
		}
		name = rest
	}
	if name == "" || name == ".." {
		return "."
	}
	return name
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// read calls use with each member of the archive, or with those that are named.
func (t *tarCall) read(use func(*tar.Header, io.Reader) error) error {
	wanted := make([]bool, len(t.args))
	err := t.inputs([]string{t.file}, func(name string, r io.Reader) error {
		buffered := bufio.NewReader(r)
		r = buffered
		if _, err := buffered.Peek(1); errors.Is(err, io.EOF) {
			return fmt.Errorf("%s is empty, not an archive", name)
		}
		if magic, err := buffered.Peek(2); err == nil && string(magic) == "\x1f\x8b" {
			z, err := gzip.NewReader(buffered)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			r = z
		}
		blocks := &counter{r: r}
		archive := tar.NewReader(blocks)
		for {
			header, err := archive.Next()
			switch {
			case errors.Is(err, io.EOF) && blocks.n%tarBlock != 0: // which package tar forgives
				return fmt.Errorf("%s ends in the middle of a block; it was cut", name)
			case errors.Is(err, io.EOF):
				return nil
			case err != nil:
				return fmt.Errorf("%s: %w", name, err)
			}
			if !t.isWanted(header.Name, wanted) {
				continue
			}
			if err := use(header, archive); err != nil {
				return err
			}
		}
	})
	for i, found := range wanted {
		if err == nil && !found {
			t.complain(fmt.Errorf("%s is not in the archive", t.args[i]))
		}
	}
	return err
}

const tarBlock = 512

// counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// isWanted says whether a member is one of those that are named, or below one; with none
// named all are. It notes which were found.
func (t *tarCall) isWanted(name string, found []bool) bool {
	wanted := len(t.args) == 0
	for i, arg := range t.args {
		if name, arg = path.Clean(name), path.Clean(arg); name == arg || strings.HasPrefix(name, arg+"/") {
			wanted, found[i] = true, true
		}
	}
	return wanted
}

func (t *tarCall) list(h *tar.Header, _ io.Reader) error {
	line := h.Name
	if t.has("v") {
		line = fmt.Sprintf("%s %d/%d %10d %s %s", host.ModeText(h.FileInfo().Mode()), h.Uid, h.Gid, h.Size, h.ModTime.UTC().Format("2006-01-02 15:04:05"), h.Name)
	}
	_, err := fmt.Fprintln(t.out, host.Printable(line))
	return err
}

func (t *tarCall) extract(h *tar.Header, content io.Reader) error {
	root, err := os.OpenRoot(t.dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // the files in it were closed
	name := path.Clean(h.Name)
	t.tell(h.Name)
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return t.extractFolder(root, name, h.FileInfo().Mode().Perm())
	case tar.TypeSymlink, tar.TypeReg, tar.TypeGNUSparse, tar.TypeLink:
	default:
		t.complain(fmt.Errorf("%.80q is neither a file nor a folder nor a link; it is left out", h.Name))
		return nil
	}
	if h.Typeflag == tar.TypeLink && path.Clean(h.Linkname) == name {
		return fmt.Errorf("%.80q is a link to itself", h.Name)
	}
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch h.Typeflag {
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		return root.Link(path.Clean(h.Linkname), name)
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, streams.Reader(t.ctx, content)) // a hole in a sparse file reads nothing
	if err == nil {
		err = f.Chmod(h.FileInfo().Mode().Perm())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return root.Chtimes(name, h.ModTime, h.ModTime)
}

// extractFolder makes a folder that can be filled, whatever its mode in the archive.
func (*tarCall) extractFolder(root *os.Root, name string, mode fs.FileMode) error {
	if err := root.MkdirAll(name, 0o755); err != nil || name == "." {
		return err
	}
	return root.Chmod(name, mode|0o700)
}
