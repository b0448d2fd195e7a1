package webjob

import (
	"slices"
	"time"
)

// RecordFormat is the value of [Record.Format] that this version reads and writes.
const RecordFormat = "webjob-run/1"

// Bounds of a record.
const (
	MaxRecordBytes = 1 << 20
	MaxParts       = 64
)

// Outcome says in one word how a run ended.
type Outcome string

// The outcomes. Signalled, TimedOut and LimitExceeded imply that the job ran.
const (
	Succeeded     Outcome = "succeeded"      // exit status 0
	Failed        Outcome = "failed"         // exit status other than 0
	Signalled     Outcome = "signalled"      // ended by a signal that was not ours
	TimedOut      Outcome = "timed_out"      // the RUN limit ended it
	LimitExceeded Outcome = "limit_exceeded" // an output or process limit ended it
	Interrupted   Outcome = "interrupted"    // webjob itself was told to stop, or was killed
	NotStarted    Outcome = "not_started"    // the payload could not be fetched, placed or started
	RunRefused    Outcome = "refused"        // verification or policy said no; nothing ran
)

// Outcomes lists every outcome.
func Outcomes() []Outcome {
	return []Outcome{Succeeded, Failed, Signalled, TimedOut, LimitExceeded, Interrupted, NotStarted, RunRefused}
}

// Check accepts the outcomes that there are.
func (o Outcome) Check() error {
	if !slices.Contains(Outcomes(), o) {
		return Errorf(Invalid, "outcome %.40q is unknown; use one of %v", string(o), Outcomes())
	}
	return nil
}

// Record is what an endpoint says about one run. It is JSON, described in
// docs/formats.md; servers keep its exact bytes.
type Record struct {
	Format     string     `json:"format"` // RecordFormat
	Run        string     `json:"run"`
	Client     string     `json:"client"`
	Job        string     `json:"job"`
	Version    int64      `json:"version,omitempty"`  // 0 when no manifest was verified
	Manifest   Digest     `json:"manifest,omitempty"` // of the canonical manifest
	Payload    Digest     `json:"payload,omitempty"`  // of the bytes that ran
	Arguments  []string   `json:"arguments,omitempty"`
	Order      string     `json:"order,omitempty"` // that asked for the run
	Host       string     `json:"host"`
	Platform   Platform   `json:"platform"`
	Webjob     string     `json:"webjob"` // version of the client program
	System     string     `json:"system,omitempty"`
	Outcome    Outcome    `json:"outcome"`
	ExitStatus *int       `json:"exit_status,omitempty"` // set when the job exited by itself
	Signal     string     `json:"signal,omitempty"`      // such as "SIGKILL", when a signal ended it
	Reason     string     `json:"reason,omitempty"`      // one line for people, when the outcome needs one
	PutURL     string     `json:"put_url"`               // server that the result is for
	Times      Times      `json:"times"`
	Usage      Usage      `json:"usage"`
	Limits     Limits     `json:"limits"`             // in force: the manifest's, within the endpoint's own
	Enforced   []string   `json:"enforced,omitempty"` // how each limit was enforced, such as "memory: cgroup"
	Leftovers  int64      `json:"leftovers,omitempty"`
	Collected  *Collected `json:"collected,omitempty"` // of a run that collects files
	Parts      []Stream   `json:"parts,omitempty"`
	Errors     []string   `json:"errors,omitempty"`
}

// Times are the stages of a run. Put has only its start: the server adds when it
// received the result.
type Times struct {
	Get Phase `json:"get"`
	Run Phase `json:"run"`
	Put Phase `json:"put"`
}

// Phase is the time of one stage: wall clock at its start, monotonic length.
type Phase struct {
	Start      time.Time `json:"start,omitzero"`
	DurationMS float64   `json:"duration_ms,omitempty"`
}

// Usage is what a run cost. Zero where the platform does not tell.
type Usage struct {
	UserMS          int64 `json:"user_ms"`
	SystemMS        int64 `json:"system_ms"`
	PeakMemoryBytes int64 `json:"peak_memory_bytes,omitempty"` // of the job's largest process
}

// Names of the parts that every run has.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

// Names of the parts of a run that collects files: a list of [CollectedFile], one JSON
// value a line, and the contents one after another, each distinct one once.
const (
	Files    = "files"
	Contents = "contents"
)

// Stream is one part of a result as the endpoint kept it.
type Stream struct {
	Name      string `json:"name"`
	Digest    Digest `json:"digest"`
	Size      int64  `json:"size"`                // bytes kept
	Written   int64  `json:"written"`             // bytes that the job wrote
	Truncated bool   `json:"truncated,omitempty"` // Written is more than Size
	Error     string `json:"error,omitempty"`     // why bytes were lost, when it was not the limit
}

// Check reports the first field that is malformed or out of range. It judges
// form only: what a record says is the client's word.
func (r *Record) Check() error {
	if r.Format != RecordFormat {
		return Errorf(Invalid, "record format %.40q is unknown; this version reads %q", r.Format, RecordFormat)
	}
	if err := CheckRunID(r.Run); err != nil {
		return err
	}
	if err := CheckClientID(r.Client); err != nil {
		return err
	}
	if err := CheckJobName(r.Job); err != nil {
		return err
	}
	if r.Version < 0 || r.Version > MaxVersion {
		return Errorf(Invalid, "version is %d; it must be 0 to %d", r.Version, int64(MaxVersion))
	}
	if err := r.Outcome.Check(); err != nil {
		return err
	}
	if len(r.Parts) > MaxParts {
		return Errorf(Invalid, "%d parts; a result has at most %d", len(r.Parts), MaxParts)
	}
	seen := map[string]bool{}
	for _, part := range r.Parts {
		if err := CheckPartName(part.Name); err != nil {
			return err
		}
		if seen[part.Name] {
			return Errorf(Invalid, "part %s is listed twice", part.Name)
		}
		seen[part.Name] = true
		if _, err := ParseDigest(string(part.Digest)); err != nil {
			return err
		}
		if part.Size < 0 || part.Size > MaxStreamBytes {
			return Errorf(Invalid, "part %s has %d bytes; it must have 0 to %d", part.Name, part.Size, int64(MaxStreamBytes))
		}
		if (part.Size == 0) != (part.Digest == EmptyDigest) {
			return Errorf(Invalid, "part %s: size %d and digest %s contradict each other", part.Name, part.Size, part.Digest)
		}
	}
	return nil
}

// Part returns the part of that name.
func (r *Record) Part(name string) (Stream, bool) {
	for _, part := range r.Parts {
		if part.Name == name {
			return part, true
		}
	}
	return Stream{}, false
}
