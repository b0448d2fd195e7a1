//go:build unix && !linux

package hostfs

import (
	"os"
	"syscall"
)

// Open opens a file or folder for reading without waiting for the other end of a pipe.
func Open(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}
