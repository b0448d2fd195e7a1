// Package host reads facts of the machine that this program runs on, without any program of
// it: processes, sockets, mounts, the kernel, and what a file's status says beside
// fs.FileInfo. It prints nothing; tools of the shell and of Lua do.
package host

import (
	"errors"
	"io/fs"
	"os/user"
	"runtime"
	"strings"
	"time"
)

// Proc is where Linux shows its processes and sockets.
const Proc = "/proc"

// ErrUnknown says that this system keeps its facts elsewhere.
var ErrUnknown = errors.New("not known on " + runtime.GOOS + "; run the host's own program by its path")

// Process is one process.
type Process struct {
	PID, Parent int
	User, State string
	Resident    int64 // KiB
	Started     time.Time
	Command     string // printable
}

// Socket is one socket of TCP or UDP.
type Socket struct {
	Protocol      string // tcp, tcp6, udp or udp6
	Local, Remote string // address and port
	State         string // "" of UDP
	Owner         string // "PID/PROGRAM", printable; "" when it cannot be seen
}

// Mount is a mounted file system that has blocks.
type Mount struct {
	Device, Type, Folder string
	Size, Used, Free     uint64 // KiB
}

// Status is what the system says of a file beside fs.FileInfo.
type Status struct {
	User, Group       string // "?" where owners have no numbers
	UID, GID          uint32
	Links, Inode      uint64
	Accessed, Changed time.Time
}

// UserName returns the name of a user id, or the id when the host has none.
func UserName(uid string) string {
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return uid
}

// GroupName returns the name of a group id, or the id when the host has none.
func GroupName(gid string) string {
	if g, err := user.LookupGroupId(gid); err == nil {
		return g.Name
	}
	return gid
}

// ModeText is a mode as ls writes it.
func ModeText(m fs.FileMode) string {
	kind := byte('-')
	for flag, letter := range map[fs.FileMode]byte{fs.ModeDir: 'd', fs.ModeSymlink: 'l', fs.ModeNamedPipe: 'p', fs.ModeSocket: 's'} {
		if m&flag != 0 {
			kind = letter
		}
	}
	switch {
	case m&fs.ModeCharDevice != 0:
		kind = 'c'
	case m&fs.ModeDevice != 0:
		kind = 'b'
	}
	text := []byte(m.Perm().String())
	text[0] = kind
	for i, special := range map[int]struct {
		flag   fs.FileMode
		letter byte
	}{3: {fs.ModeSetuid, 's'}, 6: {fs.ModeSetgid, 's'}, 9: {fs.ModeSticky, 't'}} {
		if m&special.flag == 0 {
			continue
		}
		if text[i] != 'x' {
			special.letter -= 'a' - 'A'
		}
		text[i] = special.letter
	}
	return string(text)
}

// Printable keeps a hostile name from writing lines or moving cursors.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
