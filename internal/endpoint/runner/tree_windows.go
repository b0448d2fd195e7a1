package runner

import (
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"webjob.dev/webjob"
)

// drainInterval is how often the job object is looked at after the job's own
// process has ended.
const drainInterval = 50 * time.Millisecond

// tree is a job's processes in a job object. The job's process is created
// suspended, put into the object, and only then let go, so that no child of it can
// be outside. Closing the object ends what is left in it.
type tree struct {
	object   windows.Handle
	exited   chan exit
	drained  chan struct{}
	violated chan string
	enforced []string
	stop     chan struct{}
	stopped  chan struct{}
	spent    webjob.Usage
}

// LaunchIfAsked does nothing on Windows: the job object sets the limits.
func LaunchIfAsked() {}

func startTree(spec *Spec, stdio []*os.File) (*tree, error) {
	object, err := newJobObject(spec)
	if err != nil {
		return nil, err
	}
	process, err := os.StartProcess(spec.Program, spec.Arguments, &os.ProcAttr{
		Dir: spec.Dir, Env: spec.Env, Files: stdio,
		Sys: &syscall.SysProcAttr{CreationFlags: windows.CREATE_SUSPENDED | windows.CREATE_NEW_PROCESS_GROUP, HideWindow: true},
	})
	if err != nil {
		_ = windows.CloseHandle(object) // the error of starting is the one to tell
		return nil, err
	}
	if err := adopt(object, process.Pid); err != nil {
		_ = process.Kill() // it never ran
		_ = windows.CloseHandle(object)
		return nil, err
	}
	t := &tree{
		object: object, exited: make(chan exit, 1), drained: make(chan struct{}), violated: make(chan string),
		enforced: describeLimits(spec.Limits), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	go t.wait(process)
	return t, nil
}

func newJobObject(spec *Spec) (windows.Handle, error) {
	object, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return 0, fmt.Errorf("create job object: %w", err)
	}
	var info windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	basic := &info.BasicLimitInformation
	if spec.Leftovers == webjob.LeftoversStop {
		basic.LimitFlags |= windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	}
	if n := spec.Limits.MemoryBytes; n > 0 {
		basic.LimitFlags |= windows.JOB_OBJECT_LIMIT_JOB_MEMORY
		info.JobMemoryLimit = uintptr(n)
	}
	if n := spec.Limits.Processes; n > 0 {
		basic.LimitFlags |= windows.JOB_OBJECT_LIMIT_ACTIVE_PROCESS
		basic.ActiveProcessLimit = uint32(n)
	}
	if n := spec.Limits.CPUSeconds; n > 0 {
		basic.LimitFlags |= windows.JOB_OBJECT_LIMIT_JOB_TIME
		basic.PerJobUserTimeLimit = n * 1e7 // units of 100 ns
	}
	if n := spec.Limits.Nice; n > 0 {
		basic.LimitFlags |= windows.JOB_OBJECT_LIMIT_PRIORITY_CLASS
		basic.PriorityClass = windows.BELOW_NORMAL_PRIORITY_CLASS
		if n >= 10 {
			basic.PriorityClass = windows.IDLE_PRIORITY_CLASS
		}
	}
	_, err = windows.SetInformationJobObject(object, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	if err != nil {
		_ = windows.CloseHandle(object) // the error of setting is the one to tell
		return 0, fmt.Errorf("set job object limits: %w", err)
	}
	return object, nil
}

func describeLimits(limits webjob.Limits) []string {
	how := []string{"tree: job object"}
	if limits.MemoryBytes > 0 {
		how = append(how, "memory: job object, all processes together")
	}
	if limits.Processes > 0 {
		how = append(how, "processes: job object")
	}
	if limits.CPUSeconds > 0 {
		how = append(how, "cpu: job object, user time of all processes together")
	}
	if limits.Nice > 0 {
		how = append(how, "nice: priority class")
	}
	return how
}

// adopt puts a suspended process into the object and lets it run.
func adopt(object windows.Handle, pid int) error {
	const access = windows.PROCESS_SET_QUOTA | windows.PROCESS_TERMINATE | windows.PROCESS_SUSPEND_RESUME
	process, err := windows.OpenProcess(access, false, uint32(pid))
	if err != nil {
		return fmt.Errorf("open process: %w", err)
	}
	defer func() { _ = windows.CloseHandle(process) }() // only looked at
	if err := windows.AssignProcessToJobObject(object, process); err != nil {
		return fmt.Errorf("assign process to job object: %w", err)
	}
	// The process has one thread, of which os.StartProcess kept no handle; ntdll
	// resumes a process as a whole.
	resume := windows.NewLazySystemDLL("ntdll.dll").NewProc("NtResumeProcess")
	if status, _, _ := resume.Call(uintptr(process)); status != 0 {
		return fmt.Errorf("resume process: %w", windows.NTStatus(status))
	}
	return nil
}

func (t *tree) wait(process *os.Process) {
	defer close(t.stopped)
	state, err := process.Wait()
	if err == nil {
		t.spent.UserMS = state.UserTime().Milliseconds()
		t.spent.SystemMS = state.SystemTime().Milliseconds()
		t.exited <- exit{status: state.ExitCode()}
	}
	ticker := time.NewTicker(drainInterval)
	defer ticker.Stop()
	for t.count() > 0 {
		select {
		case <-t.stop:
			return
		case <-ticker.C:
		}
	}
	close(t.drained)
}

// accounting is JOBOBJECT_BASIC_ACCOUNTING_INFORMATION (winnt.h).
type accounting struct {
	TotalUserTime, TotalKernelTime, ThisPeriodUserTime, ThisPeriodKernelTime  int64
	TotalPageFaultCount, TotalProcesses, ActiveProcesses, TerminatedProcesses uint32
}

// count returns the number of processes in the object.
func (t *tree) count() int {
	var info accounting
	err := windows.QueryInformationJobObject(t.object, windows.JobObjectBasicAccountingInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)), nil)
	if err != nil {
		return 0
	}
	return int(info.ActiveProcesses)
}

func (t *tree) usage() webjob.Usage { return t.spent }

// terminate does nothing: Windows has no signal that a program without a window or
// console could be asked with. kill follows after the grace time.
func (t *tree) terminate() {}

func (t *tree) kill() { _ = windows.TerminateJobObject(t.object, 1) } // the processes may be gone

func (t *tree) close() error {
	close(t.stop)
	<-t.stopped
	return windows.CloseHandle(t.object)
}
