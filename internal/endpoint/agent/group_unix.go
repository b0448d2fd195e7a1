//go:build unix

package agent

import "syscall"

// ownGroup keeps the keyboard's signals to the agent, which passes them on in its own
// way.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
