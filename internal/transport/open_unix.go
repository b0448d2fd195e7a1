//go:build unix

package transport

import "syscall"

// filesReserved is what the process needs beside connections.
const filesReserved = 512

// MostOpen returns how many connections this process may have: as many as it may have
// open files, less what it needs for other things.
func MostOpen() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<30 {
		return 1 << 20
	}
	return max(int(uint64(limit.Cur))-filesReserved, 64) //nolint:gosec // at most 2^30
}
