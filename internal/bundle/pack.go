package bundle

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"

	"webjob.dev/webjob"
)

// Contents is what a bundle holds.
type Contents struct {
	Entries int64 `json:"entries"` // files, folders and links
	Bytes   int64 `json:"bytes"`   // of all files together, unpacked
}

// Pack writes the folder as a bundle, in the order of its names and without owners.
// Anything but files, folders and links that stay inside is an error, and so are
// names that Windows cannot hold when the bundle is to be portable.
func Pack(w io.Writer, dir string, portable bool) (Contents, error) {
	var c Contents
	compressed, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(maxWindow))
	if err != nil {
		return c, err
	}
	archive := tar.NewWriter(compressed)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return c, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	defer func() { _ = root.Close() }() // only read
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if err := CheckName(name); err != nil {
			return err
		}
		if portable {
			if err := CheckPortable(name); err != nil {
				return err
			}
		}
		if c.Entries++; c.Entries > MaxEntries {
			return webjob.Errorf(webjob.TooLarge, "%s has more than %d entries; pack an archive of it as one file", dir, MaxEntries)
		}
		return c.add(archive, root, name, entry)
	})
	err = errors.Join(err, archive.Close(), compressed.Close())
	if err != nil && webjob.KindOf(err) == webjob.Internal {
		err = webjob.Errorf(webjob.Invalid, "%s cannot be packed: %w", dir, err)
	}
	return c, err
}

func (c *Contents) add(archive *tar.Writer, root *os.Root, name string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	header := &tar.Header{Name: name, Mode: int64(info.Mode().Perm()), ModTime: info.ModTime().Truncate(time.Second), Format: tar.FormatPAX}
	switch {
	case info.IsDir():
		header.Typeflag, header.Name = tar.TypeDir, name+"/"
		return archive.WriteHeader(header)
	case info.Mode()&fs.ModeSymlink != 0:
		header.Typeflag = tar.TypeSymlink
		if header.Linkname, err = root.Readlink(name); err != nil {
			return err
		}
		if header.Linkname = filepath.ToSlash(header.Linkname); !linkStaysInside(name, header.Linkname) {
			return webjob.Errorf(webjob.Refused, "%s is a link to %.80q, which is not inside of the bundle", name, header.Linkname)
		}
		return archive.WriteHeader(header)
	case !info.Mode().IsRegular():
		return webjob.Errorf(webjob.Refused, "%s is neither a file nor a folder nor a link", name)
	}
	header.Typeflag, header.Size = tar.TypeReg, info.Size()
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	n, err := io.Copy(archive, io.LimitReader(f, info.Size()))
	if err == nil && n != info.Size() {
		err = webjob.Errorf(webjob.Invalid, "%s became shorter while it was packed", name)
	}
	c.Bytes += n
	return errors.Join(err, f.Close())
}

// PackBytes packs a folder in memory; see [Pack].
func PackBytes(dir string, portable bool) ([]byte, Contents, error) {
	var b bytes.Buffer
	c, err := Pack(&b, dir, portable)
	return b.Bytes(), c, err
}
