package hook

import (
	"os/exec"
	"time"

	"webjob.dev/webjob"
)

func prepare(_ *exec.Cmd, name, _ string) error {
	if name != "" {
		return webjob.Errorf(webjob.Invalid, "user is not supported on Windows")
	}
	return nil
}

// KillAsGroup ends the command itself; what it started is not followed on Windows.
func KillAsGroup(c *exec.Cmd) { c.WaitDelay = time.Second }

func checkNotWritable(string) error { return nil }
