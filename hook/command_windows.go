package hook

import (
	"os/exec"

	"webjob.dev/webjob"
)

func prepare(_ *exec.Cmd, name, _ string) error {
	if name != "" {
		return webjob.Errorf(webjob.Invalid, "user is not supported on Windows")
	}
	return nil
}

func checkNotWritable(string) error { return nil }
