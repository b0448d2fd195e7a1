//go:build unix

package hook

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"webjob.dev/webjob"
)

// prepare puts the command into a process group of its own, which ends as a whole,
// and makes it run as the user.
func prepare(c *exec.Cmd, name, dir string) error {
	KillAsGroup(c)
	if name == "" {
		return nil
	}
	account, err := user.Lookup(name)
	if err != nil {
		return webjob.Errorf(webjob.Invalid, "user: %w", err)
	}
	uid, err1 := strconv.ParseUint(account.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(account.Gid, 10, 32)
	if err1 != nil || err2 != nil {
		return webjob.Errorf(webjob.Invalid, "user %s has no usable numbers", name)
	}
	c.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(dir, int(uid), int(gid))
}

// KillAsGroup makes the command end as a whole, with all that it started.
func KillAsGroup(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = time.Second // for one that left the group and holds the output open
}

// checkNotWritable refuses a file that anyone but its owner can write, or replace in
// its folder.
func checkNotWritable(file string) error {
	for _, name := range []string{file, filepath.Dir(file)} {
		info, err := os.Stat(name)
		if err != nil {
			return webjob.Errorf(webjob.Invalid, "command: %w", err)
		}
		sticky := info.IsDir() && info.Mode()&os.ModeSticky != 0
		if info.Mode().Perm()&0o022 != 0 && !sticky {
			return webjob.Errorf(webjob.Invalid, "command %s: others can write to %s (mode %04o); run chmod go-w %s", file, name, info.Mode().Perm(), name)
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid() {
			return webjob.Errorf(webjob.Invalid, "command %s: %s belongs to user %d, neither root nor the one that webjobd runs as", file, name, stat.Uid)
		}
	}
	return nil
}
