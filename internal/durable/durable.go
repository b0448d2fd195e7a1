// Package durable is the one way in which this system writes files that must survive a
// crash: a temporary file in the same folder, private to this user; write, sync, rename,
// sync of the folder. So a name that exists always has its whole content, old or new,
// and a call that returned nil survives a loss of power. An error leaves what was there
// before, and no temporary file.
//
// The target of a symbolic link is never written: the link itself is replaced. Errors
// are those of the file system; callers give them a kind.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// draftPrefix begins the names of temporary files.
const draftPrefix = ".write-"

// Write puts a file in place, with mode 0600, instead of what was there, if anything.
func Write(file string, content []byte) error { return write(file, content, (*File).Commit) }

// WriteUnsynced is Write without waiting for the disk: whole or not at all for readers
// and for a process that is killed, but a loss of power may leave anything. It is for
// what is made anew, such as a status.
func WriteUnsynced(file string, content []byte) error {
	return write(file, content, (*File).CommitUnsynced)
}

func write(file string, content []byte, commit func(*File, string) error) error {
	f, err := New(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Write(content); err != nil {
		return err
	}
	return commit(f, file)
}

// Create makes a new file with mode 0600; one that is there already is [fs.ErrExist].
// Of several that create the same file one succeeds. The name comes before the content:
// after a crash the file may be there and be cut short.
func Create(file string, content []byte) error { return create(file, content, system{}) }

func create(file string, content []byte, sys calls) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = sys.sync(f)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = sys.syncFolder(filepath.Dir(file))
	}
	if err != nil {
		return errors.Join(err, os.Remove(file))
	}
	return nil
}

// File is a file on its way into place. Nobody sees it under its name before Commit.
type File struct {
	*os.File
	sys    calls
	closed bool
	gone   bool // it has its name, or was removed
}

// New begins a file, empty and with mode 0600, in the folder that it will be in, or in
// another one of the same file system. The caller calls Discard when it is done,
// whatever came of it.
func New(dir string) (*File, error) { return begin(dir, system{}) }

func begin(dir string, sys calls) (*File, error) {
	f, err := os.CreateTemp(dir, draftPrefix+"*") // mode 0600
	if err != nil {
		return nil, err
	}
	return &File{File: f, sys: sys}, nil
}

// Commit makes what was written durable and gives it its name. The file is closed.
func (f *File) Commit(name string) error {
	if err := f.sys.sync(f.File); err != nil {
		return err
	}
	if err := f.CommitUnsynced(name); err != nil {
		return err
	}
	return f.sys.syncFolder(filepath.Dir(name))
}

// CommitUnsynced gives what was written its name without waiting for the disk; see
// [WriteUnsynced].
func (f *File) CommitUnsynced(name string) error {
	f.closed = true
	if err := f.sys.close(f.File); err != nil {
		return err
	}
	if err := f.sys.rename(f.Name(), name); err != nil {
		return err
	}
	f.gone = true
	return nil
}

// Discard gives up a file that has no name yet; after Commit it does nothing. The
// content is not wanted, so there is no error to tell.
func (f *File) Discard() {
	if !f.closed {
		_ = f.Close()
	}
	if !f.gone {
		_ = os.Remove(f.Name())
	}
	f.closed, f.gone = true, true
}

// Rename gives a file or folder another name and makes that durable. Its content must
// be so already. A file that has the name is replaced.
func Rename(from, to string) error {
	if err := rename(from, to); err != nil {
		return err
	}
	return SyncFolder(filepath.Dir(to))
}

// Sweep removes the temporary files of writes that a crash ended before the given time.
func Sweep(dir string, before time.Time) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), draftPrefix) || !entry.Type().IsRegular() {
			continue
		}
		if info, infoErr := entry.Info(); infoErr == nil && info.ModTime().Before(before) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, entry.Name())))
		}
	}
	return err
}
