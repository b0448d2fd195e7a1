package endpoint

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/durable"
	"webjob.dev/webjob/internal/tickets"
)

// Files of the tickets of an enrolment; package tickets has what is in them.
const (
	agentTickets   = "tickets-agent"
	runTickets     = "tickets-run"
	runTicketsLock = "tickets-run.lock"
	agentStatus    = "agent.json" // which every agent writes with every poll
)

// Tickets are those that this client got last. They show its servers that nobody else
// uses this identity.
type Tickets struct{ folder }

// Line is a line of tickets that one client and one server share.
type Line struct{ file string }

// Agent returns the line of an agent's polls. Only one agent uses a state folder.
func (t *Tickets) Agent() Line { return Line{t.path(string(TargetGet), agentTickets)} }

// run returns the line of all other requests to a server.
func (t *Tickets) run(target Target) Line { return Line{t.path(string(target), runTickets)} }

// Step returns what the next request shows; it is durable by then. Without an answer it
// is the same again.
func (l Line) Step() (step string, err error) {
	err = l.use(os.O_CREATE, func(h tickets.Holder) error {
		step, err = h.Step()
		return err
	})
	return step, err
}

// Keep takes the ticket of the answer; "" is none.
func (l Line) Keep(ticket string) error {
	if ticket == "" {
		return nil
	}
	return l.use(0, func(h tickets.Holder) error { return h.Keep(ticket) })
}

// shown returns the newest ticket, "" when there is none.
func (l Line) shown() (ticket string, err error) {
	err = l.use(0, func(h tickets.Holder) error {
		ticket, err = h.Shown()
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return ticket, err
}

// exchange takes a step with a request and keeps the ticket of its answer. Only one
// process at a time does; the others wait.
func (l Line) exchange(request func(step string) (ticket string, err error)) error {
	lock := flock.New(filepath.Join(filepath.Dir(l.file), runTicketsLock))
	if err := lock.Lock(); err != nil {
		return unkept(err)
	}
	defer func() { _ = lock.Unlock() }() // closing releases it
	if l.olderAgent(time.Now()) {
		_, err := request("")
		return err
	}
	step, err := l.Step()
	if err != nil {
		return err
	}
	ticket, err := request(step)
	return errors.Join(err, l.Keep(ticket))
}

// oldAgentTime is how long an agent may say nothing of itself and still run.
const oldAgentTime = time.Hour

// olderAgent reports whether there was no ticket yet, and an agent of the version before
// may still run here. Its requests show no tickets and would not be served any more once
// the line has begun: that waits until it was started again.
func (l Line) olderAgent(now time.Time) bool {
	if ticket, err := l.shown(); ticket != "" || err != nil {
		return false
	}
	state := filepath.Dir(filepath.Dir(l.file))
	if _, err := os.Stat(filepath.Join(state, string(TargetGet), agentTickets)); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	status, err := os.Stat(filepath.Join(state, agentStatus))
	return err == nil && now.Sub(status.ModTime()) < oldAgentTime
}

// use opens the file. A new one has a durable name before anything is in it.
func (l Line) use(create int, do func(tickets.Holder) error) error {
	f, err := os.OpenFile(l.file, os.O_RDWR|create, 0o600)
	if err != nil {
		return unkept(err)
	}
	if info, statErr := f.Stat(); statErr != nil {
		err = statErr
	} else if info.Size() == 0 {
		err = durable.SyncFolder(filepath.Dir(l.file))
	}
	if err == nil {
		err = do(tickets.Holder{File: f})
	}
	return unkept(errors.Join(err, f.Close()))
}

func unkept(err error) error {
	if err == nil {
		return nil
	}
	return webjob.Errorf(webjob.Unavailable, "ticket: %w; free space or mend the state folder", err)
}
