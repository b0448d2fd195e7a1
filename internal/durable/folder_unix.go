//go:build unix && !aix

package durable

import (
	"errors"
	"os"
	"syscall"
)

func rename(from, to string) error { return os.Rename(from, to) }

// SyncFolder makes the names in a folder durable. POSIX leaves open whether a rename is
// on the disk when it returns; on Linux and the BSDs an fsync of the folder says so. A
// file system that has no such thing answers EINVAL, and keeps names in its own way.
func SyncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) {
		return errors.Join(err, d.Close())
	}
	return d.Close()
}
