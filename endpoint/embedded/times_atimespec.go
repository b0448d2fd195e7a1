//go:build darwin || freebsd || netbsd

package embedded

import (
	"syscall"
	"time"
)

func statTimes(s *syscall.Stat_t) (accessed, changed time.Time) {
	return timeOf(int64(s.Atimespec.Sec), int64(s.Atimespec.Nsec)), timeOf(int64(s.Ctimespec.Sec), int64(s.Ctimespec.Nsec))
}
