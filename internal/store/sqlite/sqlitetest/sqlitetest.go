// Package sqlitetest opens stores for tests.
package sqlitetest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"webjob.dev/webjob/internal/store/sqlite"
)

// template is the file of an empty store: making its tables takes most of a second under the
// race detector.
var template = sync.OnceValues(func() (content []byte, err error) {
	dir, err := os.MkdirTemp("", "sqlitetest-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "meta.db")
	store, err := sqlite.Open(context.Background(), file)
	if err != nil {
		return nil, err
	}
	if err := store.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
})

// Open is [sqlite.Open], and quick when there is no such file yet.
func Open(ctx context.Context, file string) (*sqlite.Store, error) {
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		empty, err := template()
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, empty, 0o600); err != nil {
			return nil, err
		}
	}
	return sqlite.Open(ctx, file)
}
