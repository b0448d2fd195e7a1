//go:build unix && !linux && !openbsd

package runner

import "syscall"

// memoryResource limits the address space.
const memoryResource = syscall.RLIMIT_AS
