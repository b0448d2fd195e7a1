package endpoint

import (
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/config"
	"webjob.dev/webjob/internal/trust"
)

// Settings is the optional file webjob.toml in the state folder. What it bounds
// holds whatever a job asks for.
type Settings struct {
	PutURL   string          `toml:"put_url"`   // server for results; one that this client is enrolled with
	GetLimit config.Duration `toml:"get_limit"` // of the GET stage
	PutLimit config.Duration `toml:"put_limit"` // of the PUT stage
	Limits   Ceilings        `toml:"limits"`
	Agent    AgentSettings   `toml:"agent"`
	File     FileSettings    `toml:"file"`
	GetHook  GetHook         `toml:"get_hook"`
}

// FileSettings is whose signatures count for webjob run --file. Without certificates it
// is the people who sign the pinned job repository, with their threshold.
type FileSettings struct {
	Certificates string `toml:"certificates"` // PEM file or directory; relative to the state folder
	Threshold    int64  `toml:"threshold"`
}

// AgentSettings is how webjob agent behaves.
type AgentSettings struct {
	MaxRuns int64           `toml:"max_runs"` // at once
	Wait    config.Duration `toml:"wait"`     // how long the server may hold a poll open
	Spool   config.Size     `toml:"spool"`    // results that wait, from which on no run of an order begins
	Drain   config.Duration `toml:"drain"`    // how long runs under way may go on when it is told to stop
	// Of the agent itself. Runs have limits of their own, and begin with its niceness.
	Memory config.Size `toml:"memory"`
	CPUs   int64       `toml:"cpus"` // processors used at once
	Nice   int64       `toml:"nice"`
}

// Ceilings bound every job on this endpoint. Zero does not bound.
type Ceilings struct {
	Run       config.Duration `toml:"run"`
	Stdout    config.Size     `toml:"stdout"`
	Stderr    config.Size     `toml:"stderr"`
	Memory    config.Size     `toml:"memory"`
	Processes int64           `toml:"processes"`
	CPU       config.Duration `toml:"cpu"`
	Nice      int64           `toml:"nice"`    // at least
	Collect   config.Size     `toml:"collect"` // contents of collected files
}

// DefaultSettings returns what holds without a file.
func DefaultSettings() *Settings {
	return &Settings{GetLimit: config.Duration(5 * time.Minute), PutLimit: config.Duration(5 * time.Minute), Agent: AgentSettings{
		MaxRuns: 4, Wait: config.Duration(time.Minute), Drain: config.Duration(time.Minute), Spool: 16 << 30, Memory: 64 << 20, CPUs: 1,
	}, File: FileSettings{Threshold: 1}, GetHook: GetHook{Timeout: config.Duration(30 * time.Second)}}
}

// Check implements [config.Checker].
func (s *Settings) Check() error {
	if s.PutURL != "" {
		if err := trust.CheckServerURL(s.PutURL); err != nil {
			return &config.KeyError{Key: "put_url", Err: err}
		}
	}
	for _, err := range []error{
		s.GetLimit.Within("get_limit", time.Millisecond, 30*24*time.Hour),
		s.PutLimit.Within("put_limit", time.Millisecond, 30*24*time.Hour),
		s.Limits.Run.Within("limits.run", 0, webjob.MaxRunTime),
		s.Limits.Stdout.Within("limits.stdout", 0, webjob.MaxStreamBytes),
		s.Limits.Stderr.Within("limits.stderr", 0, webjob.MaxStreamBytes),
		s.Limits.Memory.Within("limits.memory", 0, 1<<50),
		s.Limits.Collect.Within("limits.collect", 0, webjob.MaxStreamBytes),
		s.Limits.CPU.Within("limits.cpu", 0, 365*24*time.Hour),
		s.Agent.Wait.Within("agent.wait", 0, 100*time.Second),
		s.Agent.Drain.Within("agent.drain", 0, time.Hour),
		s.Agent.Spool.Within("agent.spool", 1<<20, 1<<50),
		s.Agent.Memory.Within("agent.memory", 8<<20, 1<<40),
		within("agent.max_runs", s.Agent.MaxRuns, 1, 500),
		within("file.threshold", s.File.Threshold, 1, 64),
		s.GetHook.check(),
		within("agent.cpus", s.Agent.CPUs, 1, 1024),
		within("agent.nice", s.Agent.Nice, 0, 19),
		within("limits.processes", s.Limits.Processes, 0, 1_000_000),
		within("limits.nice", s.Limits.Nice, 0, 19),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func within(key string, n, low, high int64) error {
	if n < low || n > high {
		return config.Keyf(key, "%d is out of range; it must be %d to %d", n, low, high)
	}
	return nil
}

func (c Ceilings) limits() webjob.Limits {
	return webjob.Limits{
		RunMS: time.Duration(c.Run).Milliseconds(), StdoutBytes: int64(c.Stdout), StderrBytes: int64(c.Stderr),
		MemoryBytes: int64(c.Memory), Processes: c.Processes, CPUSeconds: int64(time.Duration(c.CPU) / time.Second), Nice: c.Nice,
		CollectBytes: int64(c.Collect),
	}
}
