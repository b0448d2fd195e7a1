// Package files keeps blobs as files below one directory, named by their digest.
//
// A blob is written to a temporary file, synced, checked, renamed into place, and
// its directory synced, in that order; so a name that exists always has its whole
// content, and a Put that returned nil survives a crash. One server owns the
// directory; reading needs no lock.
package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/durable"
)

// Store is a [webjob.Blobs] in a directory.
type Store struct {
	dir string

	mu        sync.Mutex
	uploading map[string]bool // uploads that a connection adds to, by path

	digesting *lru.Cache[string, *webjob.Digester] // of the uploads that are not complete, by path
	reread    func(bytes int64)                    // tells a test what had to be read again
}

var _ webjob.Blobs = (*Store)(nil)

// Open uses dir, which must exist, and makes the folders below it durable, so that
// no Put depends on a folder that another one made and has not synced yet.
func Open(dir string) (*Store, error) {
	digesting, err := lru.New[string, *webjob.Digester](maxDigesting)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, uploading: map[string]bool{}, digesting: digesting, reread: func(int64) {}}
	folders := []string{s.temporary(), s.uploads()}
	for first := range 256 {
		folders = append(folders, filepath.Join(dir, fmt.Sprintf("%02x", first)))
	}
	for _, folder := range folders {
		if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, backendError("open", err)
		}
	}
	return s, syncFolder(dir)
}

// Recover implements [webjob.Blobs].
func (s *Store) Recover(ctx context.Context) error {
	return eachEntry(ctx, s.temporary(), func(entry fs.DirEntry) error {
		return backendError("recover", os.Remove(filepath.Join(s.temporary(), entry.Name())))
	})
}

func (s *Store) temporary() string { return filepath.Join(s.dir, "tmp") }

// path spreads blobs over 256 directories.
func (s *Store) path(d webjob.Digest) string {
	return filepath.Join(s.dir, d.Hex()[:2], d.Hex())
}

// Put implements [webjob.Blobs].
func (s *Store) Put(ctx context.Context, d webjob.Digest, size int64, r io.Reader) error {
	f, err := durable.New(s.temporary())
	if err != nil {
		return backendError("create blob", err)
	}
	defer f.Discard()
	if err := fill(ctx, f, d, size, r); err != nil {
		return err
	}
	return backendError("keep blob", f.Commit(s.path(d)))
}

// fill copies exactly size bytes from r to w and checks their digest.
func fill(ctx context.Context, w io.Writer, d webjob.Digest, size int64, r io.Reader) error {
	digester := webjob.NewDigester()
	source := &contextReader{ctx: ctx, r: io.LimitReader(r, size+1)}
	n, err := io.Copy(io.MultiWriter(sink{w}, digester), source)
	switch {
	case source.err != nil:
		return webjob.Errorf(webjob.Invalid, "blob %s ended after %d of %d bytes: %w", d, n, size, source.err)
	case err != nil:
		return backendError("write blob", err)
	case n > size:
		return webjob.Errorf(webjob.Invalid, "blob %s has more than the %d bytes it was said to have", d, size)
	case n < size:
		return webjob.Errorf(webjob.Invalid, "blob %s ended after %d of %d bytes", d, n, size)
	case digester.Digest() != d:
		return webjob.Errorf(webjob.Invalid, "blob said to be %s is %s", d, digester.Digest())
	}
	return nil
}

// contextReader stops when ctx is done and remembers the error of its source, so
// that it can be told from an error of the disk.
type contextReader struct {
	ctx context.Context
	r   io.Reader
	err error
}

func (c *contextReader) Read(p []byte) (int, error) {
	if c.err = c.ctx.Err(); c.err != nil {
		return 0, c.err
	}
	n, err := c.r.Read(p)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

// sink hides every method but Write, so that io.Copy keeps our reader in the path.
type sink struct{ io.Writer }

// Open implements [webjob.Blobs].
func (s *Store) Open(_ context.Context, d webjob.Digest) (io.ReadSeekCloser, int64, error) {
	f, err := os.Open(s.path(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, webjob.Errorf(webjob.NotFound, "blob %s is not here", d)
	}
	if err != nil {
		return nil, 0, backendError("open blob", err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close() // the error of Stat is the one to tell
		return nil, 0, backendError("stat blob", err)
	}
	return f, info.Size(), nil
}

// Has implements [webjob.Blobs].
func (s *Store) Has(_ context.Context, d webjob.Digest) (bool, error) {
	_, err := os.Stat(s.path(d))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, backendError("stat blob", err)
	}
	return true, nil
}

// List implements [webjob.Blobs].
func (s *Store) List(ctx context.Context, before time.Time, visit func(webjob.Digest) error) error {
	for first := range 256 {
		folder := filepath.Join(s.dir, fmt.Sprintf("%02x", first))
		err := eachEntry(ctx, folder, func(entry fs.DirEntry) error {
			d, err := webjob.ParseDigest("sha256:" + entry.Name())
			if err != nil {
				return nil //nolint:nilerr // no blob: not ours to remove
			}
			info, err := entry.Info()
			if errors.Is(err, fs.ErrNotExist) || err == nil && !info.ModTime().Before(before) {
				return nil
			}
			if err != nil {
				return backendError("list blobs", err)
			}
			return visit(d)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Remove implements [webjob.Blobs].
func (s *Store) Remove(_ context.Context, d webjob.Digest, before time.Time) error {
	return backendError("remove blob", removeOlder(s.path(d), before))
}

// removeOlder removes a file that was written before the time.
func removeOlder(file string, before time.Time) error {
	info, err := os.Stat(file)
	if err == nil && info.ModTime().Before(before) {
		err = os.Remove(file)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// eachEntry visits the entries of a folder, of which it keeps a few hundred in memory.
func eachEntry(ctx context.Context, folder string, visit func(fs.DirEntry) error) error {
	f, err := os.Open(folder)
	if err != nil {
		return backendError("open folder", err)
	}
	defer func() { _ = f.Close() }() // only read
	for ctx.Err() == nil {
		entries, err := f.ReadDir(256)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return backendError("read folder", err)
		}
		for _, entry := range entries {
			if err := visit(entry); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// Ping implements [webjob.Blobs]: it writes and removes a file.
func (s *Store) Ping(context.Context) error {
	f, err := os.CreateTemp(s.temporary(), "ping-*")
	if err != nil {
		return backendError("write", err)
	}
	_, err = f.WriteString("ping")
	return errors.Join(backendError("write", err), f.Close(), os.Remove(f.Name()))
}

func syncFolder(dir string) error {
	return backendError("sync blob directory", durable.SyncFolder(dir))
}

// backendError gives an error of the file system its kind: a full or read-only
// disk may be mended, so the client keeps its copy and tries again.
func backendError(doing string, err error) error {
	if err == nil {
		return nil
	}
	for _, passing := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, passing) {
			return webjob.Errorf(webjob.Unavailable, "the server cannot store now: %s: %w", doing, passing)
		}
	}
	return webjob.Errorf(webjob.Internal, "%s: %w", doing, err)
}
