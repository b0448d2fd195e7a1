package endpoint

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// placeOf tells one folder from a copy of it: by when it was made or, where the file
// system does not keep that, by its number.
func placeOf(dir string) (string, error) {
	var stat unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, dir, 0, unix.STATX_BTIME|unix.STATX_INO, &stat); err != nil {
		return "", &os.PathError{Op: "statx", Path: dir, Err: err}
	}
	if stat.Mask&unix.STATX_BTIME != 0 {
		return fmt.Sprintf("made %d.%09d", stat.Btime.Sec, stat.Btime.Nsec), nil
	}
	return fmt.Sprintf("number %d", stat.Ino), nil
}
