// Package spool keeps results on the endpoint from the start of a run until the
// server has acknowledged them. Each run is a folder:
//
//	RUN/lock         held by the process that works on the run
//	RUN/begin.json   what was known when the run began
//	RUN/stdout       the streams, written while the job runs
//	RUN/stderr
//	RUN/reserve      a few blocks, given up when the record is written on a full disk
//	RUN/record.json  the record; its presence says that the result is complete
//
// A folder without a record whose lock is free belongs to a process that was
// killed; [Spool.Lock] completes it as an interrupted run. Only an acknowledgement
// leads to [Entry.Remove], and a removed folder leaves the spool in one rename.
package spool

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"

	"webjob.dev/webjob"
)

const (
	lockFile    = "lock"
	beginFile   = "begin.json"
	recordFile  = "record.json"
	reserveFile = "reserve"
	trashFolder = ".trash"
	// reserveBytes is room enough for a record without giant arguments.
	reserveBytes = 16 << 10
)

// Spool is a folder of runs.
type Spool struct{ dir string }

// Open uses dir, makes it when it is not there, and finishes interrupted removals.
func Open(dir string) (*Spool, error) {
	s := &Spool{dir: dir}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, spoolError(err)
	}
	if err := os.RemoveAll(s.path(trashFolder)); err != nil {
		return nil, spoolError(err)
	}
	return s, nil
}

func (s *Spool) path(elements ...string) string {
	return filepath.Join(append([]string{s.dir}, elements...)...)
}

// Runs returns the ids of the runs in the spool.
func (s *Spool) Runs() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, spoolError(err)
	}
	var runs []string
	for _, entry := range entries {
		if entry.Name() != trashFolder {
			runs = append(runs, entry.Name())
		}
	}
	return runs, nil
}

// Usage returns how many runs are in the spool, and how many bytes all of it has.
func (s *Spool) Usage() (runs int, bytes int64, err error) {
	err = filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // acknowledged in between
		}
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if filepath.Dir(path) == s.dir && entry.Name() != trashFolder {
				runs++
			}
			return nil
		}
		if info, err := entry.Info(); err == nil {
			bytes += info.Size()
		}
		return nil
	})
	return runs, bytes, spoolError(err)
}

// State says how far a run in the spool is.
type State string

// The states.
const (
	Running     State = "running"     // a live process works on it
	Waiting     State = "waiting"     // complete, not yet acknowledged
	Interrupted State = "interrupted" // its process was killed; flush completes it
	Damaged     State = "damaged"     // not readable; left alone for people to look at
)

// Status is one line of a list.
type Status struct {
	Run     string         `json:"run"`
	State   State          `json:"state"`
	Job     string         `json:"job,omitempty"`
	Version int64          `json:"version,omitempty"`
	Outcome webjob.Outcome `json:"outcome,omitempty"`
	Started time.Time      `json:"started,omitzero"`
	Bytes   int64          `json:"bytes"`
	PutURL  string         `json:"put_url,omitempty"`
	Error   string         `json:"error,omitempty"`
}

// List tells of every run in the spool, oldest first. A run that cannot be read
// is listed as damaged.
func (s *Spool) List() ([]Status, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, spoolError(err)
	}
	var list []Status
	for _, entry := range entries {
		if entry.Name() == trashFolder {
			continue
		}
		list = append(list, s.status(entry.Name()))
	}
	slices.SortFunc(list, func(a, b Status) int { return a.Started.Compare(b.Started) })
	return list, nil
}

func (s *Spool) status(run string) Status {
	status := Status{Run: run, State: Waiting}
	record, _, err := s.readRecord(run, recordFile)
	if errors.Is(err, fs.ErrNotExist) {
		status.State = Interrupted
		if s.isLocked(run) {
			status.State = Running
		}
		record, _, err = s.readRecord(run, beginFile)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return status // it is about to begin, or was killed before it began
	}
	if err != nil {
		status.State, status.Error = Damaged, err.Error()
		return status
	}
	status.Job, status.Version, status.Outcome, status.PutURL = record.Job, record.Version, record.Outcome, record.PutURL
	status.Started = record.Times.Get.Start
	for _, name := range []string{webjob.Stdout, webjob.Stderr, webjob.Files, webjob.Contents} {
		if info, err := os.Stat(s.path(run, name)); err == nil {
			status.Bytes += info.Size()
		}
	}
	return status
}

// isLocked looks without leaving a lock file where there was none.
func (s *Spool) isLocked(run string) bool {
	if !s.has(run, lockFile) {
		return false
	}
	lock := flock.New(s.path(run, lockFile))
	locked, err := lock.TryLock()
	if err != nil || !locked {
		return true
	}
	return lock.Unlock() != nil
}

// Alive reports whether a live process works on the run.
func (s *Spool) Alive(run string) bool {
	if webjob.CheckRunID(run) != nil {
		return false
	}
	if _, err := os.Stat(s.path(run)); err != nil {
		return false
	}
	return s.isLocked(run)
}

// has reports whether a file of a run is there.
func (s *Spool) has(run, file string) bool {
	_, err := os.Stat(s.path(run, file))
	return err == nil
}

// Record returns the record of a run as far as it is known: the final one, else
// the one it began with.
func (s *Spool) Record(run string) (*webjob.Record, error) {
	if err := webjob.CheckRunID(run); err != nil {
		return nil, err
	}
	record, _, err := s.readRecord(run, recordFile)
	if errors.Is(err, fs.ErrNotExist) {
		record, _, err = s.readRecord(run, beginFile)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, webjob.Errorf(webjob.NotFound, "run %s is not in the spool; webjob spool list shows what is", run)
	}
	return record, err
}

// readRecord reads and checks a record; a missing file is fs.ErrNotExist.
func (s *Spool) readRecord(run, file string) (*webjob.Record, []byte, error) {
	name := s.path(run, file)
	info, err := os.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	if info.Size() > webjob.MaxRecordBytes {
		return nil, nil, webjob.Errorf(webjob.TooLarge, "%s has %d bytes; at most %d", name, info.Size(), webjob.MaxRecordBytes)
	}
	exact, err := os.ReadFile(name)
	if err != nil {
		return nil, nil, spoolError(err)
	}
	var record webjob.Record
	if err := json.Unmarshal(exact, &record); err != nil {
		return nil, nil, webjob.Errorf(webjob.Invalid, "%s is damaged: %w", name, err)
	}
	if err := record.Check(); err != nil {
		return nil, nil, webjob.Errorf(webjob.Invalid, "%s is damaged: %w", name, err)
	}
	if record.Run != run {
		return nil, nil, webjob.Errorf(webjob.Invalid, "%s is damaged: it is the record of run %s", name, record.Run)
	}
	return &record, exact, nil
}

// spoolError gives errors of the file system a kind and a way out.
func spoolError(err error) error {
	if err == nil {
		return nil
	}
	return webjob.Errorf(webjob.Unavailable, "spool: %w; free space or mend the state folder", err)
}
