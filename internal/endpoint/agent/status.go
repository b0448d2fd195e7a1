package agent

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
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

// report changes the status and writes it out. It is for people to read: a status
// that cannot be written is no reason to stop.
func (a *Agent) report(change func(*Status)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(&a.status)
	a.status.Running = []string{}
	for run := range a.children {
		a.status.Running = append(a.status.Running, run)
	}
	slices.Sort(a.status.Running)
	a.status.Standing = len(a.standing)
	encoded, err := json.MarshalIndent(a.status, "", "  ")
	if err != nil {
		return
	}
	file := a.state.Path(statusFile)
	_ = durable.WriteUnsynced(file, append(encoded, '\n'))
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
