//go:build !linux && !darwin && !freebsd && !netbsd && !openbsd && !dragonfly && !windows

package endpoint

import "time"

// bootTime is not known here.
func bootTime() time.Time { return time.Time{} }
