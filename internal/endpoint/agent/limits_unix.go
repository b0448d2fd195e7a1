//go:build unix && !linux

package agent

import "golang.org/x/sys/unix"

func setNice(nice int) error { return unix.Setpriority(unix.PRIO_PROCESS, 0, nice) }
