//go:build unix

package download

import (
	"io/fs"
	"os"
	"syscall"
)

// ours says whether this user alone can have written the file.
func ours(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == os.Geteuid() && info.Mode().Perm()&0o022 == 0
}
