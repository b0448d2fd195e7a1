package collect

import (
	"os"

	"golang.org/x/sys/unix"
)

// startWriteback lets the kernel begin to write what was written until now
// (sync_file_range(2)), so that the sync at the end does not wait for all of it.
func startWriteback(f *os.File) {
	_ = unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE) // only a hint
}
