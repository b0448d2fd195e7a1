//go:build unix

package endpoint

import (
	"io/fs"
	"os"
	"syscall"

	"webjob.dev/webjob"
)

// checkPrivate refuses a folder that another user owns or may write to.
func checkPrivate(dir string, info fs.FileInfo) error {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return webjob.Errorf(webjob.Refused, "state folder %s belongs to user %d and webjob runs as %d; give it to this user", dir, stat.Uid, os.Geteuid())
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return webjob.Errorf(webjob.Refused, "state folder %s can be written by others (mode %04o); run chmod go-w %s", dir, mode, dir)
	}
	return nil
}
