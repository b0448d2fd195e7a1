//go:build linux || openbsd

package runner

import "syscall"

// memoryResource limits private writable memory: unlike the address space it does
// not count what a program only reserves.
const memoryResource = syscall.RLIMIT_DATA
