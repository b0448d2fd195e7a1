package files

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/durable"
)

// An upload is a file of its owner's folder: with partSuffix while it grows, with
// doneSuffix when it is complete, synced and has the digest.
const (
	partSuffix = ".part"
	doneSuffix = ".done"
)

// maxDigesting bounds the uploads whose digest so far is remembered; one that is not is read
// again, once.
const maxDigesting = 4096

func (s *Store) uploads() string { return filepath.Join(s.dir, "uploads") }

func (s *Store) uploadPath(owner string, d webjob.Digest) string {
	return filepath.Join(s.uploads(), owner, d.Hex())
}

// Uploaded implements [webjob.Blobs].
func (s *Store) Uploaded(_ context.Context, owner string, d webjob.Digest) (int64, error) {
	for _, suffix := range []string{doneSuffix, partSuffix} {
		info, err := os.Stat(s.uploadPath(owner, d) + suffix)
		if err == nil {
			return info.Size(), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return 0, backendError("stat upload", err)
		}
	}
	return 0, nil
}

// Upload implements [webjob.Blobs].
func (s *Store) Upload(ctx context.Context, u webjob.Upload, r io.Reader) (int64, error) {
	path := s.uploadPath(u.Owner, u.Digest)
	release, err := s.lockUpload(path)
	if err != nil {
		return 0, err
	}
	defer release()
	have, err := s.Uploaded(ctx, u.Owner, u.Digest)
	if err != nil {
		return 0, err
	}
	if u.Offset != have {
		return have, webjob.Errorf(webjob.Conflict, "the upload of %s goes on at byte %d, not at %d", u.Digest, have, u.Offset)
	}
	if _, err := os.Stat(path + doneSuffix); err == nil {
		return have, nil
	}
	if err := s.makeFolder(u.Owner); err != nil {
		return have, err
	}
	f, err := os.OpenFile(path+partSuffix, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return have, backendError("open upload", err)
	}
	defer func() { _ = f.Close() }() // closed already on success
	digester, err := s.digesterOf(path, f, have)
	if err != nil {
		return have, err
	}
	source := &contextReader{ctx: ctx, r: io.LimitReader(r, u.Size-have+1)}
	n, err := io.Copy(io.MultiWriter(sink{f}, digester), source)
	have += n
	if have < u.Size && (err == nil || source.err != nil) {
		s.digesting.Add(path, digester) // the next piece goes on with it
	}
	switch {
	case source.err != nil:
		return have, webjob.Errorf(webjob.Unavailable, "the upload of %s ended after %d of %d bytes: %w", u.Digest, have, u.Size, source.err)
	case err != nil:
		return have, backendError("write upload", err)
	case have < u.Size:
		return have, webjob.Errorf(webjob.Unavailable, "the upload of %s ended after %d of %d bytes", u.Digest, have, u.Size)
	case have > u.Size || digester.Digest() != u.Digest:
		err := webjob.Errorf(webjob.Invalid, "the upload said to be %d bytes, %s, is something else; it begins anew", u.Size, u.Digest)
		return 0, errors.Join(err, backendError("remove upload", os.Remove(path+partSuffix)))
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return have, backendError("keep upload", err)
	}
	return have, backendError("keep upload", durable.Rename(path+partSuffix, path+doneSuffix))
}

// digesterOf returns the digest of what is in the file, and leaves the file at its end.
// Nobody else adds to it meanwhile. What is remembered is only ever that of bytes that this
// process wrote: after a crash of the machine the file may hold others, and is read.
func (s *Store) digesterOf(path string, f *os.File, have int64) (*webjob.Digester, error) {
	digester, found := s.digesting.Get(path)
	s.digesting.Remove(path) // whatever comes of this piece
	if found && digester.Size() == have {
		_, err := f.Seek(have, io.SeekStart)
		return digester, backendError("seek upload", err)
	}
	digester = webjob.NewDigester()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, backendError("seek upload", err)
	}
	if _, err := io.CopyN(digester, f, have); err != nil {
		return nil, backendError("read upload", err)
	}
	s.reread(have)
	return digester, nil
}

// lockUpload lets one connection at a time add to an upload, or one sweep remove it.
func (s *Store) lockUpload(path string) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.uploading[path] {
		return nil, webjob.Errorf(webjob.Conflict, "another connection is sending this upload; try again when it has ended")
	}
	s.uploading[path] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.uploading, path)
	}, nil
}

// makeFolder makes the owner's folder, in which what is acknowledged must be found after a
// crash.
func (s *Store) makeFolder(owner string) error {
	err := os.Mkdir(filepath.Join(s.uploads(), owner), 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return backendError("make upload folder", err)
	}
	return syncFolder(s.uploads())
}

// GiveUpUploads implements [webjob.Blobs].
func (s *Store) GiveUpUploads(ctx context.Context, since time.Time) error {
	return eachEntry(ctx, s.uploads(), func(owner fs.DirEntry) error {
		if !owner.IsDir() {
			return nil
		}
		folder := filepath.Join(s.uploads(), owner.Name())
		return eachEntry(ctx, folder, func(entry fs.DirEntry) error {
			file := filepath.Join(folder, entry.Name())
			release, err := s.lockUpload(file[:len(file)-len(filepath.Ext(file))])
			if err != nil {
				return nil //nolint:nilerr // something is being added to it
			}
			defer release()
			return backendError("give up upload", removeOlder(file, since))
		})
	})
}

// Adopt implements [webjob.Blobs].
func (s *Store) Adopt(_ context.Context, owner string, d webjob.Digest, size int64) error {
	done, target := s.uploadPath(owner, d)+doneSuffix, s.path(d)
	info, err := os.Stat(done)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() != size {
		return webjob.Errorf(webjob.NotFound, "there is no complete upload of %d bytes, %s", size, d)
	}
	if err != nil {
		return backendError("stat upload", err)
	}
	if err := os.Link(done, target); err != nil && !errors.Is(err, fs.ErrExist) {
		return backendError("adopt upload", err)
	}
	now := time.Now() // a blob that was there is as new as one that was not
	if err := os.Chtimes(target, now, now); err != nil {
		return backendError("adopt upload", err)
	}
	return syncFolder(filepath.Dir(target))
}

// ForgetUpload implements [webjob.Blobs].
func (s *Store) ForgetUpload(_ context.Context, owner string, d webjob.Digest) error {
	s.digesting.Remove(s.uploadPath(owner, d))
	for _, suffix := range []string{doneSuffix, partSuffix} {
		if err := os.Remove(s.uploadPath(owner, d) + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return backendError("forget upload", err)
		}
	}
	return nil
}
