//go:build unix

package host

import (
	"io/fs"
	"runtime"
	"strconv"
	"syscall"

	"github.com/djherbis/times"
	"golang.org/x/sys/unix"
)

// Kernel returns the name and the release of the kernel, and the machine's kind.
func Kernel() (name, release, machine string) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown", "unknown", runtime.GOARCH
	}
	return unix.ByteSliceToString(u.Sysname[:]), unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:])
}

// StatusOf returns what the system says beside fs.FileInfo.
func StatusOf(info fs.FileInfo) Status {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return Status{User: "?", Group: "?"}
	}
	t := times.Get(info)
	return Status{
		User: UserName(strconv.FormatUint(uint64(s.Uid), 10)), Group: GroupName(strconv.FormatUint(uint64(s.Gid), 10)),
		UID: s.Uid, GID: s.Gid, Links: uint64(s.Nlink), Inode: uint64(s.Ino), //nolint:unconvert,gosec // other widths on other systems
		Accessed: t.AccessTime(), Changed: t.ChangeTime(),
	}
}

// DeviceOf returns the number of the file system that a file is on.
func DeviceOf(info fs.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Dev) //nolint:unconvert,gosec // other widths on other systems
	}
	return 0
}
