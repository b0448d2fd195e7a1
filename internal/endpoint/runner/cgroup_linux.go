package runner

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"webjob.dev/webjob"
)

// group is a control group (cgroup v2) of one run. A nil group is none: this user
// may not make one, or the system has no cgroup v2.
type group struct {
	path      string
	folder    *os.File
	memory    bool // memory.max is set
	processes bool // pids.max is set
}

// newGroup makes a group below our own or, where that one has not the controllers
// that the limits need, below the root. It returns nil when neither works.
func newGroup(run string, limits webjob.Limits) *group {
	var best *group
	for _, parent := range groupParents() {
		g := makeGroup(filepath.Join(parent, "webjob-"+run), limits)
		if g == nil {
			continue
		}
		if best != nil {
			_ = best.remove() // empty, ours
		}
		best = g
		if (g.memory || limits.MemoryBytes == 0) && (g.processes || limits.Processes == 0) {
			break
		}
	}
	return best
}

// Sweep ends what a killed webjob left of a run: processes in its control group, and
// the group.
func Sweep(run string) {
	for _, parent := range groupParents() {
		g := &group{path: filepath.Join(parent, "webjob-"+run)}
		if g.has("cgroup.kill") && g.kill() {
			_ = g.remove() // another try follows at the next start
		}
	}
}

// groupParents returns our own group's folder and the root's.
func groupParents() []string {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(mounts)) {
		// Fields (proc(5)): id, parent, device, root, mount point, ..., "-", type, ...
		before, after, found := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if !found || len(fields) < 5 || !strings.HasPrefix(after, "cgroup2 ") {
			continue
		}
		root, point := fields[3], fields[4]
		for line := range strings.Lines(string(own)) {
			if path, found := strings.CutPrefix(strings.TrimSpace(line), "0::"); found {
				below, err := filepath.Rel(root, path)
				if err != nil || strings.HasPrefix(below, "..") || below == "." {
					return []string{point}
				}
				return []string{filepath.Join(point, below), point}
			}
		}
	}
	return nil
}

func makeGroup(path string, limits webjob.Limits) *group {
	if os.Mkdir(path, 0o755) != nil {
		return nil
	}
	g := &group{path: path}
	if !g.has("cgroup.kill") {
		_ = os.Remove(path) // empty, ours
		return nil
	}
	if limits.MemoryBytes > 0 {
		g.memory = g.set("memory.max", limits.MemoryBytes)
		if g.memory {
			_ = g.set("memory.swap.max", 0) // without swap accounting the limit still holds
			_ = g.set("memory.oom.group", 1)
		}
	}
	if limits.Processes > 0 {
		g.processes = g.set("pids.max", limits.Processes)
	}
	folder, err := os.Open(path)
	if err != nil {
		_ = os.Remove(path) // empty, ours
		return nil
	}
	g.folder = folder
	return g
}

func (g *group) has(file string) bool {
	_, err := os.Stat(filepath.Join(g.path, file))
	return err == nil
}

func (g *group) set(file string, value int64) bool {
	return os.WriteFile(filepath.Join(g.path, file), strconv.AppendInt(nil, value, 10), 0) == nil
}

// count returns the number of threads in the group, 0 when it cannot be told.
func (g *group) count() int {
	list, err := os.ReadFile(filepath.Join(g.path, "cgroup.threads"))
	if err != nil {
		return 0
	}
	return bytes.Count(list, []byte{'\n'})
}

// kill ends every process of the group, and reports whether it could.
func (g *group) kill() bool { return g != nil && g.set("cgroup.kill", 1) }

// outOfMemory reports whether the kernel killed a process for the memory limit.
func (g *group) outOfMemory() bool {
	if g == nil || !g.memory {
		return false
	}
	events, err := os.ReadFile(filepath.Join(g.path, "memory.events"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(events)) {
		if n, found := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); found {
			return n != "0"
		}
	}
	return false
}

// remove removes the group. A group that holds processes that were left on purpose
// stays; it goes with them at the next boot.
func (g *group) remove() error {
	if g == nil {
		return nil
	}
	var err error
	if g.folder != nil {
		err = g.folder.Close()
	}
	for range 50 { // the kernel empties a group shortly after its last process was reaped
		removal := os.Remove(g.path)
		if removal == nil || !errors.Is(removal, unix.EBUSY) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return err
}

// limitPlan says which limit is enforced how.
type limitPlan struct {
	launch  launchSpec
	watched int64 // count processes and compare with this; 0 does not
	how     []string
}

func planLimits(limits webjob.Limits, g *group) limitPlan {
	p := limitPlan{}
	tell := func(format string, args ...any) { p.how = append(p.how, fmt.Sprintf(format, args...)) }
	if g != nil {
		tell("tree: cgroup and subreaper")
	} else {
		tell("tree: subreaper")
	}
	switch {
	case limits.MemoryBytes == 0:
	case g != nil && g.memory:
		tell("memory: cgroup, all processes together")
	default:
		p.launch.MemoryBytes = limits.MemoryBytes
		tell("memory: RLIMIT_DATA, each process")
	}
	switch {
	case limits.Processes == 0:
	case g != nil && g.processes:
		tell("processes: cgroup")
	case g != nil:
		p.watched = limits.Processes
		tell("processes: counted every %s", groupInterval)
	default:
		p.watched = limits.Processes
		tell("processes: counted every %s", watchInterval)
	}
	if limits.CPUSeconds > 0 {
		p.launch.CPUSeconds = limits.CPUSeconds
		tell("cpu: RLIMIT_CPU, each process")
	}
	if limits.Nice > 0 {
		p.launch.Nice = limits.Nice
		tell("nice: setpriority")
	}
	return p
}

// command returns what to start: the job itself, or ourselves to set limits first.
func (p limitPlan) command(self string, spec *Spec) (string, []string) {
	return p.launch.command(self, spec)
}
