package agent

import (
	"runtime"
	"runtime/debug"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint"
)

// limit holds the agent's own process to its settings: the memory as a target of the
// garbage collector, the processors used at once, and the niceness. It reports Invalid
// when the system does not allow the niceness.
func limit(own endpoint.AgentSettings) error {
	debug.SetMemoryLimit(int64(own.Memory))
	runtime.GOMAXPROCS(min(int(own.CPUs), runtime.NumCPU()))
	if own.Nice == 0 {
		return nil
	}
	if err := setNice(int(own.Nice)); err != nil {
		return webjob.Errorf(webjob.Invalid, "agent.nice is %d, and this system refuses it: %w", own.Nice, err)
	}
	return nil
}
