package endpoint

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// executableSuffixes are the endings of programs.
var executableSuffixes = []string{".exe", ""}

// systemVersion returns the version of Windows.
func systemVersion() string {
	v := windows.RtlGetVersion()
	return fmt.Sprintf("Windows %d.%d.%d", v.MajorVersion, v.MinorVersion, v.BuildNumber)
}
