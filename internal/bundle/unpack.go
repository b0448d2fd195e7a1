package bundle

import (
	"archive/tar"
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"webjob.dev/webjob"
)

// Entry is one thing in a bundle.
type Entry struct {
	Name string      `json:"name"`
	Mode fs.FileMode `json:"mode"`           // type and permissions
	Size int64       `json:"size"`           // bytes, of files
	Link string      `json:"link,omitempty"` // where a link leads
	Time time.Time   `json:"time"`
}

// Unpack unpacks a bundle into an empty folder, which must be private to this user.
// More bytes than most, or anything that is not allowed, is an error that is Refused,
// and the folder is then not to be used.
func Unpack(bundle io.Reader, dir string, most int64) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return unpackError(err)
	}
	defer func() { _ = root.Close() }() // files were closed one by one
	u := &unpacker{root: root}
	err = Walk(bundle, most, u.add)
	for i := len(u.folders) - 1; err == nil && i >= 0; i-- { // the inner ones first
		if err = root.Chmod(u.folders[i].Name, u.folders[i].Mode.Perm()|0o700); err == nil {
			err = root.Chtimes(u.folders[i].Name, u.folders[i].Time, u.folders[i].Time)
		}
		err = unpackError(err)
	}
	return err
}

type unpacker struct {
	root    *os.Root
	folders []Entry
}

func (u *unpacker) add(e Entry, content io.Reader) error {
	if runtime.GOOS == "windows" {
		if err := CheckPortable(e.Name); err != nil {
			return err
		}
	}
	if err := u.root.MkdirAll(path.Dir(e.Name), 0o700); err != nil {
		return unpackError(err)
	}
	switch {
	case e.Mode.IsDir():
		u.folders = append(u.folders, e)
		err := u.root.Mkdir(e.Name, 0o700)
		if errors.Is(err, fs.ErrExist) {
			if info, statErr := u.root.Lstat(e.Name); statErr == nil && info.IsDir() {
				err = nil // it was made for what is in it
			}
		}
		return unpackError(err)
	case e.Mode&fs.ModeSymlink != 0:
		return unpackError(u.root.Symlink(filepath.FromSlash(e.Link), e.Name))
	}
	f, err := u.root.OpenFile(e.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return unpackError(err)
	}
	_, err = io.Copy(f, content)
	if err == nil {
		err = f.Chmod(e.Mode.Perm() | 0o400)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = u.root.Chtimes(e.Name, e.Time, e.Time)
	}
	return unpackError(err)
}

// unpackError keeps what has a kind, and says of the rest that it is this machine's.
func unpackError(err error) error {
	if err == nil || webjob.KindOf(err) != webjob.Internal {
		return err
	}
	return webjob.Errorf(webjob.Unavailable, "the bundle cannot be unpacked: %w", err)
}

// Walk calls visit for everything in a bundle, in its order, without writing anything.
// content is the content of a file, good until visit returns. Entries are checked
// before they are visited; bytes of content beyond most are an error.
func Walk(bundle io.Reader, most int64, visit func(e Entry, content io.Reader) error) error {
	compressed, err := zstd.NewReader(bufio.NewReaderSize(bundle, 64<<10), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return webjob.Errorf(webjob.Refused, "not a bundle: %w", err)
	}
	defer compressed.Close()
	// The archive around the content is bounded, too: names and padding.
	bounded := &io.LimitedReader{R: compressed, N: most + MaxEntries*(3<<10) + (1 << 20)}
	archive := tar.NewReader(bounded)
	w := &walk{most: most, seen: map[string]bool{}, links: map[string]bool{}}
	for {
		header, err := archive.Next()
		switch {
		case bounded.N <= 0:
			return webjob.Errorf(webjob.Refused, "the bundle unpacks to more than it may (%d bytes of files)", most)
		case errors.Is(err, io.EOF) && w.entries == 0:
			return webjob.Errorf(webjob.Refused, "the bundle is empty")
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return webjob.Errorf(webjob.Refused, "the bundle is broken after %d entries: %w", w.entries, err)
		}
		e, err := w.check(header)
		if err != nil {
			return err
		}
		content := &reader{r: archive}
		if err := visit(e, content); err != nil {
			if content.err != nil { // the bundle's fault, not the disk's
				return webjob.Errorf(webjob.Refused, "the bundle is broken in %.80q: %w", e.Name, content.err)
			}
			return err
		}
	}
}

// reader remembers an error of reading.
type reader struct {
	r   io.Reader
	err error
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

type walk struct {
	most    int64
	bytes   int64
	entries int64
	seen    map[string]bool // names, folded
	links   map[string]bool // of these, symbolic links
}

// check accepts an entry.
func (w *walk) check(h *tar.Header) (Entry, error) {
	e := Entry{Name: h.Name, Mode: fs.FileMode(h.Mode).Perm(), Time: h.ModTime}
	if w.entries++; w.entries > MaxEntries {
		return e, webjob.Errorf(webjob.Refused, "the bundle has more than %d entries", MaxEntries)
	}
	switch h.Typeflag {
	case tar.TypeReg:
		if h.Size < 0 || h.Size > w.most-w.bytes {
			return e, webjob.Errorf(webjob.Refused, "the bundle unpacks to more than it may (%d bytes of files)", w.most)
		}
		e.Size = h.Size
		w.bytes += h.Size
	case tar.TypeDir:
		e.Name = strings.TrimSuffix(h.Name, "/")
		e.Mode |= fs.ModeDir
	case tar.TypeSymlink:
		e.Mode |= fs.ModeSymlink
		if e.Link = h.Linkname; !linkStaysInside(e.Name, e.Link) {
			return e, webjob.Errorf(webjob.Refused, "%.80q in the bundle is a link to %.80q, which is not inside", e.Name, e.Link)
		}
	default:
		return e, webjob.Errorf(webjob.Refused, "%.80q in the bundle is neither a file nor a folder nor a symbolic link", h.Name)
	}
	if err := CheckName(e.Name); err != nil {
		return e, err
	}
	name := strings.ToLower(e.Name) // as file systems of Windows and macOS compare
	if w.seen[name] {
		return e, webjob.Errorf(webjob.Refused, "%.80q is in the bundle twice", e.Name)
	}
	w.seen[name], w.links[name] = true, h.Typeflag == tar.TypeSymlink
	for folder := path.Dir(name); folder != "."; folder = path.Dir(folder) {
		if w.links[folder] {
			return e, webjob.Errorf(webjob.Refused, "%.80q in the bundle lies behind a link", e.Name)
		}
	}
	return e, nil
}
