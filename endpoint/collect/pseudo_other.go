//go:build !linux

package collect

// isPseudo knows no file systems that the kernel makes up; few have them mounted.
func isPseudo(string) bool { return false }
