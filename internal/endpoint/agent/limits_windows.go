package agent

import "golang.org/x/sys/windows"

// setNice takes the priority class that is nearest; Windows has no niceness.
func setNice(nice int) error {
	class := uint32(windows.BELOW_NORMAL_PRIORITY_CLASS)
	if nice >= 10 {
		class = windows.IDLE_PRIORITY_CLASS
	}
	return windows.SetPriorityClass(windows.CurrentProcess(), class)
}
