package hostfs

import "io/fs"

// Permissions returns the permissions as chmod(2) takes them, with set-user-id,
// set-group-id and sticky bits.
func Permissions(mode fs.FileMode) uint64 {
	bits := uint64(mode.Perm())
	for flag, bit := range map[fs.FileMode]uint64{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if mode&flag != 0 {
			bits |= bit
		}
	}
	return bits
}
