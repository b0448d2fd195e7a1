package embedded

import (
	"fmt"
	"io/fs"
	"runtime"

	"golang.org/x/sys/windows"
)

// kernel returns the name and the release of the system, and the machine's kind.
func kernel() (name, release, machine string) {
	v := windows.RtlGetVersion()
	return "Windows", fmt.Sprintf("%d.%d.%d", v.MajorVersion, v.MinorVersion, v.BuildNumber), runtime.GOARCH
}

// statOf knows nothing more: owners of Windows are no numbers.
func statOf(info fs.FileInfo) status {
	return status{user: "?", group: "?", links: 1, accessed: info.ModTime(), change: info.ModTime()}
}
