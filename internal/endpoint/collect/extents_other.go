//go:build !linux && !freebsd

package collect

import "os"

// extentsOf takes every file for one without holes.
func extentsOf(_ *os.File, size int64) ([][2]int64, error) {
	if size == 0 {
		return nil, nil
	}
	return [][2]int64{{0, size}}, nil
}
