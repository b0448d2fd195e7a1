//go:build !linux

package hostfs

// IsPseudo knows no file systems that the kernel makes up; few have them mounted.
func IsPseudo(string) bool { return false }
