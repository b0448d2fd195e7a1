package runner

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"webjob.dev/webjob"
)

// watchInterval is how often processes are counted where the kernel does not
// enforce their number, and groupInterval how often where a control group lists them,
// which is cheap: whatever forks without end must be ended before it fills the host.
const (
	watchInterval = 100 * time.Millisecond
	groupInterval = 10 * time.Millisecond
)

// tree is a job's processes. This process is made their subreaper, so a process
// whose parent ends becomes our child, and "no children left" means that the whole
// tree has ended, whatever it did to hide. A control group, where we may make one,
// kills all of them at once.
type tree struct {
	pid      int
	exited   chan exit
	drained  chan struct{}
	violated chan string
	enforced []string
	group    *group // may be nil
	stop     chan struct{}
	watching sync.WaitGroup

	mu    sync.Mutex
	spent webjob.Usage
}

// startTree starts the job's own process. stdio are its descriptors 0 to 2.
func startTree(spec *Spec, stdio []*os.File) (*tree, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become subreaper: %w", err)
	}
	t := &tree{
		exited:   make(chan exit, 1),
		drained:  make(chan struct{}),
		violated: make(chan string, 1),
		stop:     make(chan struct{}),
		group:    newGroup(spec.Run, spec.Limits),
	}
	plan := planLimits(spec.Limits, t.group)
	t.enforced = plan.how
	started := make(chan error)
	go t.reap(spec, stdio, plan, started)
	if err := <-started; err != nil {
		return nil, errors.Join(err, t.close())
	}
	if plan.watched > 0 {
		t.watching.Go(func() { t.watchCount(plan.watched) })
	}
	return t, nil
}

// reap starts the job and collects every process that ends below us until none is
// left. It keeps its thread: the job is killed when the thread that started it ends
// (PR_SET_PDEATHSIG), which is when this process dies.
func (t *tree) reap(spec *Spec, stdio []*os.File, plan limitPlan, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	process, err := t.startProcess(spec, stdio, plan)
	if err == nil {
		t.pid = process.Pid
		err = process.Release() // waited for below
	}
	started <- err
	if err != nil {
		return
	}
	for {
		var status syscall.WaitStatus
		var usage syscall.Rusage
		pid, err := syscall.Wait4(-1, &status, 0, &usage)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil: // ECHILD: nothing is left
			close(t.drained)
			return
		}
		t.add(&usage)
		if pid == t.pid {
			t.exited <- t.exitOf(status, &usage, spec.Limits)
		}
	}
}

func (t *tree) startProcess(spec *Spec, stdio []*os.File, plan limitPlan) (*os.Process, error) {
	// What our caller left open is not the job's business. Kernels before 5.11 cannot
	// do this at once; there the job sees those files.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	program, arguments := plan.command("/proc/self/exe", spec)
	attributes := &os.ProcAttr{
		Dir: spec.Dir, Env: spec.Env, Files: append(append([]*os.File{}, stdio...), spec.Inherit...),
		Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	}
	if t.group == nil {
		return os.StartProcess(program, arguments, attributes)
	}
	attributes.Sys.UseCgroupFD, attributes.Sys.CgroupFD = true, int(t.group.folder.Fd())
	return os.StartProcess(program, arguments, attributes)
}

func (t *tree) exitOf(status syscall.WaitStatus, usage *syscall.Rusage, limits webjob.Limits) exit {
	if status.Exited() {
		return exit{status: status.ExitStatus()}
	}
	e := exit{signal: unix.SignalName(status.Signal())}
	// Programs that ignore SIGXCPU, as Go's do, get SIGKILL a second later.
	spent := (usage.Utime.Nano() + usage.Stime.Nano()) / int64(time.Second)
	switch {
	case limits.CPUSeconds > 0 && (status.Signal() == syscall.SIGXCPU || status.Signal() == syscall.SIGKILL && spent >= limits.CPUSeconds):
		e.exceeded = fmt.Sprintf("the CPU limit of %d s", limits.CPUSeconds)
	case status.Signal() == syscall.SIGKILL && t.group.outOfMemory():
		e.exceeded = fmt.Sprintf("the memory limit of %d bytes", limits.MemoryBytes)
	}
	return e
}

func (t *tree) add(u *syscall.Rusage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spent.UserMS += u.Utime.Nano() / 1e6
	t.spent.SystemMS += u.Stime.Nano() / 1e6
	t.spent.PeakMemoryBytes = max(t.spent.PeakMemoryBytes, int64(u.Maxrss)<<10)
}

func (t *tree) usage() webjob.Usage {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.spent
}

// watchCount reports when more than limit processes and threads are alive.
func (t *tree) watchCount(limit int64) {
	count, interval := t.count, watchInterval
	if t.group != nil {
		count, interval = t.group.count, groupInterval
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-t.stop:
			return
		case <-t.drained:
			return
		case <-ticker.C:
			if n := int64(count()); n > limit {

				t.violated <- fmt.Sprintf("%d processes and threads, over the limit of %d", n, limit)
				_ = t.group.kill() // at once: the polite end comes too late for a fork bomb
				return
			}
		}
	}
}

// count returns the number of processes and threads that are alive in the tree.
func (t *tree) count() int {
	n := 0
	for _, p := range descendants() {
		n += p.threads
	}
	return n
}

// terminate asks every process to end.
func (t *tree) terminate() {
	for _, p := range descendants() {
		_ = syscall.Kill(p.pid, syscall.SIGTERM) // it may be gone
	}
}

// kill ends every process. Without a control group it first stops them, in as many
// rounds as new ones appear: stopped processes cannot fork.
func (t *tree) kill() {
	if t.group.kill() {
		return
	}
	stopped := map[int]bool{}
	for found := true; found && len(stopped) < maxProcesses; {
		found = false
		for _, p := range descendants() {
			if !stopped[p.pid] {
				stopped[p.pid], found = true, true
				_ = syscall.Kill(p.pid, syscall.SIGSTOP) // it may be gone
			}
		}
	}
	for _, p := range descendants() {
		_ = syscall.Kill(p.pid, syscall.SIGKILL) // it may be gone
	}
}

// maxProcesses is the largest number of processes that Linux can have.
const maxProcesses = 4 << 20

// close ends the watching and removes the control group.
func (t *tree) close() error {
	close(t.stop)
	t.watching.Wait()
	return t.group.remove()
}

type process struct{ pid, parent, threads int }

// descendants lists the living processes below this one, from /proc. Zombies are
// left out: they wait to be reaped and do nothing.
func descendants() []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]process{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if p, alive := readProcess(pid); p.pid != 0 {
			if !alive {
				p.threads = 0
			}
			children[p.parent] = append(children[p.parent], p)
		}
	}
	var found []process
	queue := []int{os.Getpid()}
	for len(queue) > 0 {
		next := children[queue[0]]
		queue = queue[1:]
		for _, p := range next {
			queue = append(queue, p.pid)
			if p.threads > 0 {
				found = append(found, p)
			}
		}
	}
	return found
}

// readProcess reads /proc/PID/stat (proc(5)): the name in parentheses may hold
// anything, so fields are counted from the last parenthesis.
func readProcess(pid int) (p process, alive bool) {
	content, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, false
	}
	text := string(content)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 18 {
		return process{}, false
	}
	parent, err1 := strconv.Atoi(fields[1])
	threads, err2 := strconv.Atoi(fields[17])
	if err1 != nil || err2 != nil {
		return process{}, false
	}
	return process{pid: pid, parent: parent, threads: threads}, fields[0] != "Z" && fields[0] != "X"
}
