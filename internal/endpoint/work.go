package endpoint

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint/runner"
)

// workFolders are the private folders of runs under way: payloads and what jobs write
// beside them. Nothing in them is of use when the run has ended.
type workFolders struct{ folder }

// make makes the folder of a run.
func (w workFolders) make(run string) (string, error) {
	if err := os.Mkdir(w.path(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", webjob.Errorf(webjob.Unavailable, "work folder: %w", err)
	}
	dir := w.path(run)
	for _, folder := range []string{dir, filepath.Join(dir, "home")} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			return "", webjob.Errorf(webjob.Unavailable, "work folder: %w", err)
		}
	}
	return dir, nil
}

// sweep removes the folders whose run is no longer alive.
func (w workFolders) sweep(runs interface{ Alive(run string) bool }) error {
	entries, err := os.ReadDir(w.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		if !runs.Alive(entry.Name()) {
			runner.Sweep(entry.Name())
			err = errors.Join(err, os.RemoveAll(w.path(entry.Name())))
		}
	}
	if err != nil {
		return webjob.Errorf(webjob.Unavailable, "work folder: %w", err)
	}
	return nil
}
