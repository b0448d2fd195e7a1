package agent

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"webjob.dev/webjob/internal/endpoint"
)

// The limits hold for every thread of the process, also those that come later.
func TestLimitHoldsForTheWholeProcess(t *testing.T) {
	threads := make(chan struct{})
	for range 4 {
		go func() {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			<-threads
		}()
	}
	defer close(threads)
	before, memory := runtime.GOMAXPROCS(0), debug.SetMemoryLimit(-1)
	defer func() {
		runtime.GOMAXPROCS(before)
		debug.SetMemoryLimit(memory)
	}()
	if err := limit(endpoint.AgentSettings{Memory: 32 << 20, CPUs: 1, Nice: 3}); err != nil {
		t.Fatal(err)
	}
	if n := runtime.GOMAXPROCS(0); n != 1 {
		t.Errorf("it uses %d processors at once, want 1", n)
	}
	if n := debug.SetMemoryLimit(-1); n != 32<<20 {
		t.Errorf("its memory target is %d, want %d", n, 32<<20)
	}
	list, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range list {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		// The system call gives 20 - niceness (getpriority(2)).
		if p, err := unix.Getpriority(unix.PRIO_PROCESS, id); err == nil && 20-p != 3 {
			t.Errorf("thread %d has niceness %d, want 3", id, 20-p)
		}
	}
}
