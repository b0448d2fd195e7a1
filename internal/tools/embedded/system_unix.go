//go:build unix

package embedded

import (
	"io/fs"
	"runtime"
	"strconv"
	"syscall"

	"github.com/djherbis/times"
	"golang.org/x/sys/unix"
)

// kernel returns the name and the release of the kernel, and the machine's kind.
func kernel() (name, release, machine string) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown", "unknown", runtime.GOARCH
	}
	return unix.ByteSliceToString(u.Sysname[:]), unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:])
}

// statOf returns what the system says beside fs.FileInfo.
func statOf(info fs.FileInfo) status {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return status{user: "?", group: "?"}
	}
	t := times.Get(info)
	return status{
		user: userName(strconv.FormatUint(uint64(s.Uid), 10)), group: groupName(strconv.FormatUint(uint64(s.Gid), 10)),
		uid: s.Uid, gid: s.Gid, links: uint64(s.Nlink), inode: uint64(s.Ino), //nolint:unconvert,gosec // other widths on other systems
		accessed: t.AccessTime(), change: t.ChangeTime(),
	}
}
