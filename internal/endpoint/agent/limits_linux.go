package agent

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// setNice sets every thread: Linux keeps a niceness for each, and a thread takes that
// of the one which made it. It looks again until no new thread shows up.
func setNice(nice int) error {
	for known := map[int]bool{}; ; {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		before := len(known)
		for _, thread := range threads {
			id, err := strconv.Atoi(thread.Name())
			if err != nil || known[id] {
				continue
			}
			if err := unix.Setpriority(unix.PRIO_PROCESS, id, nice); err != nil && !errors.Is(err, unix.ESRCH) { // it may have ended
				return err
			}
			known[id] = true
		}
		if len(known) == before {
			return nil
		}
	}
}
