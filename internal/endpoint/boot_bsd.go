//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package endpoint

import (
	"time"

	"golang.org/x/sys/unix"
)

// bootTime asks the kernel (sysctl kern.boottime).
func bootTime() time.Time {
	tv, err := unix.SysctlTimeval("kern.boottime")
	if err != nil {
		return time.Time{}
	}
	return time.Unix(int64(tv.Sec), 0).UTC() //nolint:unconvert // narrower on some systems
}
