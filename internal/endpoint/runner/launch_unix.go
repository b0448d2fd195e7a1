//go:build unix

package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// launchName is argv[0] of this program when it is started only to set limits on
// itself and become the job: limits set from outside would come too late for a job
// that forks at once.
const launchName = "webjob-launch"

// launchSpec travels as argv[1]; the job's own argv follows.
type launchSpec struct {
	Program     string `json:"program"`
	MemoryBytes int64  `json:"memory_bytes,omitempty"`
	CPUSeconds  int64  `json:"cpu_seconds,omitempty"`
	Nice        int64  `json:"nice,omitempty"`
}

// command returns the job itself when there is nothing to set, else ourselves.
func (l launchSpec) command(self string, spec *Spec) (string, []string) {
	if l == (launchSpec{}) {
		return spec.Program, spec.Arguments
	}
	l.Program = spec.Program
	encoded, _ := json.Marshal(l) // plain strings and numbers
	return self, append([]string{launchName, string(encoded)}, spec.Arguments...)
}

// LaunchIfAsked must be the first call of main in every program that runs jobs. It
// returns unless this process was started by the runner to become a job.
func LaunchIfAsked() {
	if len(os.Args) < 3 || os.Args[0] != launchName {
		return
	}
	err := launch(os.Args[1], os.Args[2:])
	fmt.Fprintln(os.Stderr, "webjob: start job:", err)
	os.Exit(127)
}

func launch(encoded string, arguments []string) error {
	var l launchSpec
	if err := json.Unmarshal([]byte(encoded), &l); err != nil {
		return err
	}
	if l.Nice > 0 {
		// Only a lower niceness than the one that we have is ever refused.
		err := unix.Setpriority(unix.PRIO_PROCESS, 0, int(l.Nice))
		if err != nil && !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("set niceness %d: %w", l.Nice, err)
		}
	}
	if l.CPUSeconds > 0 {
		// The soft limit sends SIGXCPU, which the record can name; the hard one kills.
		if err := setLimit(syscall.RLIMIT_CPU, l.CPUSeconds, l.CPUSeconds+1); err != nil {
			return fmt.Errorf("set CPU limit %d s: %w", l.CPUSeconds, err)
		}
	}
	if l.MemoryBytes > 0 {
		if err := setLimit(memoryResource, l.MemoryBytes, l.MemoryBytes); err != nil {
			return fmt.Errorf("set memory limit %d: %w", l.MemoryBytes, err)
		}
	}
	return syscall.Exec(l.Program, arguments, os.Environ())
}

func setLimit(resource int, soft, hard int64) error {
	var limit syscall.Rlimit
	assign(&limit.Cur, soft)
	assign(&limit.Max, hard)
	return syscall.Setrlimit(resource, &limit)
}

// assign exists because the fields are signed on some systems.
func assign[T int64 | uint64](field *T, value int64) { *field = T(value) }
