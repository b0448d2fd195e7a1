//go:build linux || freebsd

package collect

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// extentsOf returns where a file of this size has data (lseek(2), SEEK_DATA), in order.
func extentsOf(f *os.File, size int64) ([][2]int64, error) {
	var extents [][2]int64
	for at := int64(0); at < size; {
		start, err := f.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // nothing but a hole until the end
		}
		if err != nil && at == 0 || len(extents) == maxExtents-1 {
			return append(extents, [2]int64{at, size - at}), nil // a file system without holes
		}
		if err != nil {
			return nil, err
		}
		end, err := f.Seek(start, unix.SEEK_HOLE)
		if err != nil {
			return nil, err
		}
		if end = min(end, size); end > start {
			extents = append(extents, [2]int64{start, end - start})
		}
		at = max(end, start+1)
	}
	return extents, nil
}
