//go:build unix

package snapshot

import (
	"io/fs"
	"strconv"
	"syscall"
)

// system fills in what only Unix knows.
func system(values map[string]string, info fs.FileInfo) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return
	}
	for field, value := range map[string]uint64{
		"dev": uint64(s.Dev), "inode": uint64(s.Ino), "nlink": uint64(s.Nlink), "uid": uint64(s.Uid), "gid": uint64(s.Gid), //nolint:unconvert,gosec // other widths on other systems
	} {
		values[field] = strconv.FormatUint(value, 10)
	}
	values["mode"] = strconv.FormatUint(uint64(s.Mode), 8) //nolint:unconvert // as above
}
