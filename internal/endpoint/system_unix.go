//go:build unix

package endpoint

import (
	"strings"

	"golang.org/x/sys/unix"
)

// executableSuffixes are the endings of programs.
var executableSuffixes = []string{""}

// systemVersion returns what uname -srv prints, or "".
func systemVersion() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	var words []string
	for _, field := range [][]byte{name.Sysname[:], name.Release[:], name.Version[:]} {
		words = append(words, unix.ByteSliceToString(field))
	}
	return strings.Join(words, " ")
}
