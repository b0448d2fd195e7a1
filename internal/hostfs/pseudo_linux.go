package hostfs

import "golang.org/x/sys/unix"

// IsPseudo reports whether a path lies in a file system that the kernel makes up
// (statfs(2)): its files may block, act when read, or never end.
func IsPseudo(path string) bool {
	var s unix.Statfs_t
	if unix.Statfs(path, &s) != nil {
		return false
	}
	switch int64(s.Type) { //nolint:unconvert // 32 bits on some
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.DEBUGFS_MAGIC,
		unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC, unix.BPF_FS_MAGIC, unix.DEVPTS_SUPER_MAGIC, unix.PSTOREFS_MAGIC,
		unix.EFIVARFS_MAGIC, unix.SELINUX_MAGIC, unix.SMACK_MAGIC, unix.NSFS_MAGIC, unix.BINFMTFS_MAGIC, unix.AUTOFS_SUPER_MAGIC:
		return true
	}
	return false
}
