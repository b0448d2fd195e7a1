package spool

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/durable"
	"webjob.dev/webjob/wire"
)

// Entry is one run in the spool, locked by this process.
type Entry struct {
	spool *Spool
	run   string
	lock  *flock.Flock
}

// Begin makes room for a run before it starts: the folder, the lock, what is
// known so far, and the two stream files. When the spool cannot hold it, nothing
// is left behind and nothing should run.
func (s *Spool) Begin(begun *webjob.Record) (e *Entry, stdout, stderr *os.File, err error) {
	if err := begun.Check(); err != nil {
		return nil, nil, nil, err
	}
	dir := s.path(begun.Run)
	if e, err = s.makeEntry(begun.Run); err != nil {
		return nil, nil, nil, spoolError(err)
	}
	encoded, err := json.Marshal(begun)
	if err == nil { // not synced, which every run would wait for: it is for a process that is killed
		err = durable.WriteUnsynced(s.path(begun.Run, beginFile), encoded)
	}
	if err == nil {
		err = os.WriteFile(s.path(begun.Run, reserveFile), make([]byte, reserveBytes), 0o600)
	}
	for _, stream := range []struct {
		name string
		file **os.File
	}{{webjob.Stdout, &stdout}, {webjob.Stderr, &stderr}} {
		if err == nil {
			*stream.file, err = os.OpenFile(s.path(begun.Run, stream.name), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
		}
	}
	if err != nil {
		if stdout != nil {
			err = errors.Join(err, stdout.Close())
		}
		return nil, nil, nil, errors.Join(spoolError(err), e.Unlock(), os.RemoveAll(dir))
	}
	return e, stdout, stderr, nil
}

// Create makes the file of one more part, empty.
func (e *Entry) Create(part string) (*os.File, error) {
	if err := webjob.CheckPartName(part); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(e.spool.path(e.run, part), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	return f, spoolError(err)
}

// makeEntry makes a run's folder and locks it. Before it is locked another process
// may take it for one that was given up, and remove it; then it is made again.
func (s *Spool) makeEntry(run string) (*Entry, error) {
	for {
		if err := os.Mkdir(s.path(run), 0o700); err != nil {
			return nil, err
		}
		e := &Entry{spool: s, run: run, lock: flock.New(s.path(run, lockFile))}
		err := e.lock.Lock()
		if err == nil && s.has(run, lockFile) {
			return e, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(err, os.RemoveAll(s.path(run)))
		}
		if err := e.Unlock(); err != nil {
			return nil, err
		}
	}
}

// Lock takes a run that no live process works on. It returns nil, nil when the run
// is taken or gone. An interrupted run is completed first.
func (s *Spool) Lock(run string) (*Entry, error) {
	if err := webjob.CheckRunID(run); err != nil {
		return nil, err
	}
	if _, err := os.Stat(s.path(run)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	e := &Entry{spool: s, run: run, lock: flock.New(s.path(run, lockFile))}
	locked, err := e.lock.TryLock()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // removed in between
	}
	if err != nil {
		return nil, spoolError(err)
	}
	if !locked {
		return nil, nil
	}
	if _, err := os.Stat(s.path(run)); errors.Is(err, fs.ErrNotExist) {
		return nil, e.Unlock() // acknowledged by the process that had it
	}
	if !s.has(run, beginFile) && !s.has(run, recordFile) {
		// Its process was killed before it began, and nothing ran; or it is about to
		// begin, and will make its folder again.
		return nil, e.Remove()
	}
	if !s.has(run, recordFile) {
		if err := e.completeInterrupted(); err != nil {
			return nil, errors.Join(err, e.Unlock())
		}
	}
	return e, nil
}

// completeInterrupted writes the record that a killed process could not write.
func (e *Entry) completeInterrupted() error {
	record, _, err := e.spool.readRecord(e.run, beginFile)
	if err != nil {
		return err
	}
	record.Outcome = webjob.Interrupted
	record.Reason = "webjob was killed during the run; the streams are what it had kept until then"
	record.Parts = nil
	last := record.Times.Get.Start
	for _, name := range []string{webjob.Stdout, webjob.Stderr} {
		stream, modified, err := e.measure(name)
		if err != nil {
			return err
		}
		record.Parts = append(record.Parts, stream)
		if modified.After(last) {
			last = modified
		}
	}
	if !record.Times.Run.Start.IsZero() {
		record.Times.Run.DurationMS = float64(last.Sub(record.Times.Run.Start).Milliseconds())
	}
	return e.Seal(record)
}

// measure digests a stream file as it is.
func (e *Entry) measure(name string) (webjob.Stream, time.Time, error) {
	stream := webjob.Stream{Name: name, Digest: webjob.EmptyDigest}
	f, err := os.Open(e.spool.path(e.run, name))
	if errors.Is(err, fs.ErrNotExist) {
		return stream, time.Time{}, nil
	}
	if err != nil {
		return stream, time.Time{}, spoolError(err)
	}
	stream.Digest, stream.Size, err = webjob.DigestReader(f)
	stream.Written = stream.Size
	info, statErr := f.Stat()
	if err := errors.Join(err, statErr, f.Close()); err != nil {
		return stream, time.Time{}, spoolError(err)
	}
	return stream, info.ModTime(), nil
}

// Seal completes the run. When it returns nil the streams and the record survive
// a crash of the machine.
func (e *Entry) Seal(record *webjob.Record) error {
	// On a full disk the reserve makes room for the record.
	if err := os.Remove(e.spool.path(e.run, reserveFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return spoolError(err)
	}
	encoded, err := json.Marshal(record)
	if err != nil {
		return err
	}
	draft, err := durable.New(e.spool.path(e.run))
	if err != nil {
		return spoolError(err)
	}
	defer draft.Discard()
	_, err = draft.Write(encoded)
	if err == nil {
		err = e.syncAll(draft, record.Parts)
	}
	if err == nil {
		err = draft.CommitUnsynced(e.spool.path(e.run, recordFile)) // its content is synced
	}
	if err == nil {
		err = errors.Join(durable.SyncFolder(e.spool.path(e.run)), durable.SyncFolder(e.spool.dir))
	}
	return spoolError(err)
}

// syncAll syncs the record and the parts. Syncs that run at the same time share one
// journal commit. An empty part needs none: a missing file stands for it as well.
func (e *Entry) syncAll(record *durable.File, parts []webjob.Stream) error {
	errs := make([]error, len(parts)+1)
	var syncs sync.WaitGroup
	syncs.Go(func() { errs[len(parts)] = record.Sync() })
	for i, part := range parts {
		if part.Size == 0 {
			continue
		}
		syncs.Go(func() {
			f, err := os.OpenFile(e.spool.path(e.run, part.Name), os.O_RDWR, 0)
			if err == nil {
				err = errors.Join(f.Sync(), f.Close())
			}
			errs[i] = err
		})
	}
	syncs.Wait()
	return errors.Join(errs...)
}

// Result is a complete run, ready to be sent.
type Result struct {
	Record *webjob.Record
	Exact  []byte // the record's bytes
	Body   io.Reader
	Length int64 // of Body: the record and its parts one after another, without Large
	Large  []Large
	files  []*os.File
}

// Large is a part that is sent before the result.
type Large struct {
	webjob.Stream
	Content io.ReaderAt
}

// Open reads the sealed run. The caller closes the result.
func (e *Entry) Open() (*Result, error) {
	record, exact, err := e.spool.readRecord(e.run, recordFile)
	if err != nil {
		return nil, err
	}
	r := &Result{Record: record, Exact: exact}
	for _, part := range record.Parts {
		if part.Size == 0 {
			continue
		}
		f, err := os.Open(e.spool.path(e.run, part.Name))
		if err != nil {
			return nil, errors.Join(spoolError(err), r.Close())
		}
		r.files = append(r.files, f)
		info, err := f.Stat()
		if err != nil {
			return nil, errors.Join(spoolError(err), r.Close())
		}
		if info.Size() != part.Size {
			err := webjob.Errorf(webjob.Invalid, "run %s: %s is damaged: it has %d bytes and the record says %d", e.run, f.Name(), info.Size(), part.Size)
			return nil, errors.Join(err, r.Close())
		}
	}
	r.Rewind()
	return r, nil
}

// Rewind makes Body start over.
func (r *Result) Rewind() {
	readers := []io.Reader{bytes.NewReader(r.Exact)}
	r.Length = int64(len(r.Exact))
	r.Large = nil
	i := 0
	for _, part := range r.Record.Parts {
		if part.Size == 0 {
			continue
		}
		if wire.Resumable(part) {
			r.Large = append(r.Large, Large{part, r.files[i]})
		} else {
			readers = append(readers, io.NewSectionReader(r.files[i], 0, part.Size))
			r.Length += part.Size
		}
		i++
	}
	r.Body = io.MultiReader(readers...)
}

// Close closes the files of the result.
func (r *Result) Close() error {
	var err error
	for _, f := range r.files {
		err = errors.Join(err, f.Close())
	}
	return err
}

// Run returns the run's id.
func (e *Entry) Run() string { return e.run }

// Remove deletes the run; call it after the acknowledgement. A crash in between
// leaves either the whole run, which is then acknowledged again, or nothing.
func (e *Entry) Remove() error {
	if err := os.Mkdir(e.spool.path(trashFolder), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return errors.Join(spoolError(err), e.Unlock())
	}
	// Some systems cannot rename a folder that holds an open file. There another
	// process may take the run in between; it is then acknowledged twice, stored once.
	var unlocked error
	if !renamesOpenFiles {
		unlocked = e.Unlock()
	}
	err := os.Rename(e.spool.path(e.run), e.spool.path(trashFolder, e.run)) //nolint:forbidigo // one that comes back after a crash is acknowledged again
	return errors.Join(spoolError(err), unlocked, e.Unlock(), os.RemoveAll(e.spool.path(trashFolder, e.run)))
}

// Unlock lets other processes have the run.
func (e *Entry) Unlock() error { return e.lock.Unlock() }
