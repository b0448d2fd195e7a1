package webjob

import "time"

// Limits bound one run. Zero means "no limit" for MemoryBytes, Processes,
// CPUSeconds and "unchanged" for Nice; time and output are always bounded.
// Which limit works on which platform is told in docs/platforms.md.
type Limits struct {
	RunMS       int64    `json:"run_ms"`                 // wall time of RUN in milliseconds, 1 to MaxRunTime
	StdoutBytes int64    `json:"stdout_bytes"`           // kept bytes of stdout, 0 to MaxStreamBytes
	StderrBytes int64    `json:"stderr_bytes"`           // kept bytes of stderr, 0 to MaxStreamBytes
	OnOverflow  Overflow `json:"on_overflow"`            // what happens when a stream passes its limit
	MemoryBytes int64    `json:"memory_bytes,omitempty"` // memory of the job, at least 1 MiB
	Processes   int64    `json:"processes,omitempty"`    // processes and threads alive at once, 1 to 1,000,000
	CPUSeconds  int64    `json:"cpu_seconds,omitempty"`  // CPU time, 1 to 31,536,000
	Nice        int64    `json:"nice,omitempty"`         // niceness added, 0 (normal) to 19 (lowest priority)
	// CollectBytes bounds the contents of all collected files together, 1 to
	// MaxStreamBytes; 0 in the limits of a job that collects none.
	CollectBytes int64 `json:"collect_bytes,omitempty"`
}

// Overflow says what happens to a job whose stdout or stderr passes its limit.
type Overflow string

// The job goes on and the rest of the stream is dropped, or the job is stopped.
// Either way the record says that the stream was truncated.
const (
	OverflowContinue Overflow = "continue"
	OverflowStop     Overflow = "stop"
)

// Bounds of the limits that every run has.
const (
	DefaultRunTime     = 10 * time.Minute
	MaxRunTime         = 30 * 24 * time.Hour
	DefaultStreamBytes = 16 << 20
	// DefaultCollectBytes is the limit of a job that collects files and names none.
	DefaultCollectBytes = 128 << 20
	MaxStreamBytes      = 1 << 40
)

// DefaultLimits returns the limits of a job whose author names none.
func DefaultLimits() Limits {
	return Limits{
		RunMS:       DefaultRunTime.Milliseconds(),
		StdoutBytes: DefaultStreamBytes,
		StderrBytes: DefaultStreamBytes,
		OnOverflow:  OverflowContinue,
	}
}

// RunTime returns the RUN limit.
func (l Limits) RunTime() time.Duration { return time.Duration(l.RunMS) * time.Millisecond }

// Check reports the first value that is out of range.
func (l Limits) Check() error {
	within := func(name string, value, low, high int64) error {
		if value < low || value > high {
			return Errorf(Invalid, "limit %s is %d; it must be %d to %d", name, value, low, high)
		}
		return nil
	}
	optional := func(name string, value, low, high int64) error {
		if value == 0 {
			return nil
		}
		return within(name, value, low, high)
	}
	for _, err := range []error{
		within("run_ms", l.RunMS, 1, MaxRunTime.Milliseconds()),
		within("stdout_bytes", l.StdoutBytes, 0, MaxStreamBytes),
		within("stderr_bytes", l.StderrBytes, 0, MaxStreamBytes),
		optional("memory_bytes", l.MemoryBytes, 1<<20, 1<<50),
		optional("processes", l.Processes, 1, 1_000_000),
		optional("cpu_seconds", l.CPUSeconds, 1, 31_536_000),
		within("nice", l.Nice, 0, 19),
		optional("collect_bytes", l.CollectBytes, 1, MaxStreamBytes),
	} {
		if err != nil {
			return err
		}
	}
	if l.OnOverflow != OverflowContinue && l.OnOverflow != OverflowStop {
		return Errorf(Invalid, "limit on_overflow is %.40q; it must be \"continue\" or \"stop\"", string(l.OnOverflow))
	}
	return nil
}

// Within returns l with no value looser than the ceiling's. A zero in the
// ceiling does not bound. Niceness is never lowered.
func (l Limits) Within(ceiling Limits) Limits {
	lower := func(value *int64, bound int64) {
		if bound > 0 && (*value == 0 || *value > bound) {
			*value = bound
		}
	}
	lower(&l.RunMS, ceiling.RunMS)
	lower(&l.MemoryBytes, ceiling.MemoryBytes)
	lower(&l.Processes, ceiling.Processes)
	lower(&l.CPUSeconds, ceiling.CPUSeconds)
	if ceiling.StdoutBytes > 0 {
		l.StdoutBytes = min(l.StdoutBytes, ceiling.StdoutBytes)
	}
	if ceiling.StderrBytes > 0 {
		l.StderrBytes = min(l.StderrBytes, ceiling.StderrBytes)
	}
	if ceiling.CollectBytes > 0 {
		l.CollectBytes = min(l.CollectBytes, ceiling.CollectBytes)
	}
	l.Nice = max(l.Nice, ceiling.Nice)
	return l
}
