package agent

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/durable"
	"webjob.dev/webjob/internal/endpoint"
)

// Status is what an agent says of itself, in the file agent.json of the state folder.
type Status struct {
	PID          int           `json:"pid"`
	Version      string        `json:"version"`
	Started      time.Time     `json:"started"`
	State        string        `json:"state"`
	Error        string        `json:"error,omitempty"` // why it is not connected
	Client       string        `json:"client,omitempty"`
	Server       string        `json:"server,omitempty"`
	Labels       webjob.Labels `json:"labels,omitempty"`
	Repository   int64         `json:"repository,omitempty"` // version of the job repository's timestamp
	LastContact  time.Time     `json:"last_contact,omitzero"`
	ClockSkewMS  int64         `json:"clock_skew_ms"` // this clock less the server's, with the way between
	Running      []string      `json:"running"`
	Standing     int           `json:"standing"` // orders whose time it keeps
	LastRun      string        `json:"last_run,omitempty"`
	LastRunEnded time.Time     `json:"last_run_ended,omitzero"`
}

// What an agent may be doing.
const (
	StateConnecting = "connecting"
	StateConnected  = "connected"
	StateStopped    = "stopped"
)

const statusFile = "agent.json"

// board is where an agent says what it does. It is for people to read: a status that
// cannot be written is no reason to stop.
type board struct {
	file     string
	runs     func() []string // under way
	standing func() int

	mu     sync.Mutex
	status Status
}

// report changes the status and writes it out.
func (b *board) report(change func(*Status)) {
	running, standing := b.runs(), b.standing()
	slices.Sort(running)
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.status)
	b.status.Running, b.status.Standing = running, standing
	encoded, err := json.MarshalIndent(b.status, "", "  ")
	if err != nil {
		return
	}
	_ = durable.WriteUnsynced(b.file, append(encoded, '\n'))
}

// connected reports whether the server answered last.
func (b *board) connected() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status.State == StateConnected
}

// ReadStatus returns what the last agent said of itself; NotFound when there was
// none.
func ReadStatus(s *endpoint.State) (Status, error) {
	var status Status
	text, err := os.ReadFile(s.Path(statusFile))
	if errors.Is(err, fs.ErrNotExist) {
		return status, webjob.Errorf(webjob.NotFound, "no agent has run here")
	}
	if err == nil {
		err = json.Unmarshal(text, &status)
	}
	if err != nil {
		return status, webjob.Errorf(webjob.Invalid, "%s is damaged: %w; the next agent writes it anew", s.Path(statusFile), err)
	}
	return status, nil
}
