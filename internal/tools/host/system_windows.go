package host

import (
	"fmt"
	"io/fs"
	"runtime"

	"golang.org/x/sys/windows"
)

// Kernel returns the name and the release of the system, and the machine's kind.
func Kernel() (name, release, machine string) {
	v := windows.RtlGetVersion()
	return "Windows", fmt.Sprintf("%d.%d.%d", v.MajorVersion, v.MinorVersion, v.BuildNumber), runtime.GOARCH
}

// StatusOf knows nothing more: owners of Windows are no numbers.
func StatusOf(info fs.FileInfo) Status {
	return Status{User: "?", Group: "?", Links: 1, Accessed: info.ModTime(), Changed: info.ModTime()}
}

// DeviceOf is 0: file systems of Windows have letters, not numbers.
func DeviceOf(fs.FileInfo) uint64 { return 0 }
