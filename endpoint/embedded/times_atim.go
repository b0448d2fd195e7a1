//go:build linux || openbsd || dragonfly || solaris || aix

package embedded

import (
	"syscall"
	"time"
)

func statTimes(s *syscall.Stat_t) (accessed, changed time.Time) {
	return timeOf(int64(s.Atim.Sec), int64(s.Atim.Nsec)), timeOf(int64(s.Ctim.Sec), int64(s.Ctim.Nsec)) //nolint:unconvert // 32 bits on some
}
