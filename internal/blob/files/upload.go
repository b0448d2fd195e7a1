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

// uploadLife is how long an upload that nothing is added to is kept.
const uploadLife = 7 * 24 * time.Hour

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
	release, err := s.claim(path)
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
	if err := s.makeRoom(u, have); err != nil {
		return have, err
	}
	f, err := os.OpenFile(path+partSuffix, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return have, backendError("open upload", err)
	}
	defer func() { _ = f.Close() }() // closed already on success
	digester := webjob.NewDigester()
	if _, err := io.CopyN(digester, f, have); err != nil { // and f is then at its end
		return have, backendError("read upload", err)
	}
	source := &contextReader{ctx: ctx, r: io.LimitReader(r, u.Size-have+1)}
	n, err := io.Copy(io.MultiWriter(sink{f}, digester), source)
	have += n
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

// claim lets one connection at a time add to an upload.
func (s *Store) claim(path string) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.uploading[path] {
		return nil, webjob.Errorf(webjob.Unavailable, "another connection is sending this upload; try again")
	}
	s.uploading[path] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.uploading, path)
	}, nil
}

// makeRoom makes the owner's folder, removes what was given up, and checks that the
// rest of the upload fits.
func (s *Store) makeRoom(u webjob.Upload, have int64) error {
	dir := filepath.Dir(s.uploadPath(u.Owner, u.Digest))
	switch err := os.Mkdir(dir, 0o700); {
	case err == nil: // what is acknowledged in it must be found after a crash
		if err := syncFolder(s.uploads()); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrExist):
		return backendError("make upload folder", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return backendError("read upload folder", err)
	}
	total := u.Size - have
	for _, entry := range entries {
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // forgotten in between
		}
		if err != nil {
			return backendError("stat upload", err)
		}
		if time.Since(info.ModTime()) > uploadLife && have == 0 {
			if err := os.Remove(filepath.Join(dir, entry.Name())); err != nil {
				return backendError("remove upload", err)
			}
			continue
		}
		total += info.Size()
	}
	if total > u.Most {
		return webjob.Errorf(webjob.TooLarge, "the uploads of %s would have %d bytes together; this server takes at most %d (endpoint.max_result)", u.Owner, total, u.Most)
	}
	return nil
}

// recoverUploads removes the uploads that were given up.
func (s *Store) recoverUploads() error {
	return backendError("recover uploads", filepath.WalkDir(s.uploads(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil && time.Since(info.ModTime()) > uploadLife {
			err = os.Remove(path) //nolint:gosec // a folder of the server alone
		}
		return err
	}))
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
	return syncFolder(filepath.Dir(target))
}

// ForgetUpload implements [webjob.Blobs].
func (s *Store) ForgetUpload(_ context.Context, owner string, d webjob.Digest) error {
	for _, suffix := range []string{doneSuffix, partSuffix} {
		if err := os.Remove(s.uploadPath(owner, d) + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return backendError("forget upload", err)
		}
	}
	return nil
}
