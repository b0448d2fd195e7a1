//go:build unix && !linux

package runner

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"webjob.dev/webjob"
)

// drainInterval is how often the process group is looked at after the job's own
// process has ended.
const drainInterval = 50 * time.Millisecond

// tree is a job's process group. A process that leaves the group, by setsid or
// setpgid, leaves the tree: this platform has no way to follow it.
type tree struct {
	pid      int
	exited   chan exit
	drained  chan struct{}
	violated chan string
	enforced []string
	stop     chan struct{}
	spent    webjob.Usage
}

func startTree(spec *Spec, stdio []*os.File) (*tree, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	launch := launchSpec{MemoryBytes: spec.Limits.MemoryBytes, CPUSeconds: spec.Limits.CPUSeconds, Nice: spec.Limits.Nice}
	program, arguments := launch.command(self, spec)
	process, err := os.StartProcess(program, arguments, &os.ProcAttr{
		Dir: spec.Dir, Env: spec.Env, Files: append(append([]*os.File{}, stdio...), spec.Inherit...),
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, err
	}
	t := &tree{
		pid: process.Pid, exited: make(chan exit, 1), drained: make(chan struct{}),
		violated: make(chan string), enforced: describeLimits(spec.Limits), stop: make(chan struct{}),
	}
	go t.wait(process, spec.Limits)
	return t, nil
}

func describeLimits(limits webjob.Limits) []string {
	how := []string{"tree: process group"}
	if limits.MemoryBytes > 0 {
		how = append(how, "memory: resource limit, each process")
	}
	if limits.Processes > 0 {
		how = append(how, "processes: not enforced on this platform")
	}
	if limits.CPUSeconds > 0 {
		how = append(how, "cpu: RLIMIT_CPU, each process")
	}
	if limits.Nice > 0 {
		how = append(how, "nice: setpriority")
	}
	return how
}

func (t *tree) wait(process *os.Process, limits webjob.Limits) {
	state, err := process.Wait()
	if err == nil {
		t.spent.UserMS = state.UserTime().Milliseconds()
		t.spent.SystemMS = state.SystemTime().Milliseconds()
		e := exit{status: state.ExitCode()}
		if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			e.signal = unix.SignalName(status.Signal())
			if status.Signal() == syscall.SIGXCPU && limits.CPUSeconds > 0 {
				e.exceeded = fmt.Sprintf("the CPU limit of %d s", limits.CPUSeconds)
			}
		}
		t.exited <- e
	}
	ticker := time.NewTicker(drainInterval)
	defer ticker.Stop()
	for !errors.Is(syscall.Kill(-t.pid, 0), syscall.ESRCH) {
		select {
		case <-t.stop:
			return
		case <-ticker.C:
		}
	}
	close(t.drained)
}

func (t *tree) usage() webjob.Usage { return t.spent }

// count is 1 while anything is left: the group does not tell how many.
func (t *tree) count() int {
	if errors.Is(syscall.Kill(-t.pid, 0), syscall.ESRCH) {
		return 0
	}
	return 1
}

func (t *tree) terminate() { _ = syscall.Kill(-t.pid, syscall.SIGTERM) } // the group may be gone

func (t *tree) kill() { _ = syscall.Kill(-t.pid, syscall.SIGKILL) } // the group may be gone

func (t *tree) close() error {
	close(t.stop)
	return nil
}
