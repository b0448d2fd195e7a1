//go:build unix && !linux

package runner

import "syscall"

const noFollow = syscall.O_NOFOLLOW
