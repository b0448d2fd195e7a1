package endpoint

import (
	"errors"
	"io/fs"
	"os"

	"github.com/gofrs/flock"

	"webjob.dev/webjob"
)

// Files of the tickets that this client got last; see the server's chain of them.
const (
	agentTicketFile = getFolder + "/ticket-agent"
	runTicketFile   = getFolder + "/ticket-run"
	runTicketLock   = getFolder + "/ticket-run.lock"
	maxTicket       = 256
)

// Tickets are those that this client got last: one of its agent's polls, one of its
// single runs. They show the server that nobody else uses this identity.
type Tickets struct{ folder }

// AgentTicket returns the ticket of the last poll, "" when there is none.
func (s *Tickets) AgentTicket() (string, error) { return s.readTicket(agentTicketFile) }

// KeepAgentTicket keeps the ticket of a poll.
func (s *Tickets) KeepAgentTicket(ticket string) error { return s.keepTicket(agentTicketFile, ticket) }

// RunTicket returns the ticket of the last job, "" when there is none. Another process
// may be writing it: it counts when it was read twice.
func (s *Tickets) RunTicket() (string, error) {
	ticket, err := s.readTicket(runTicketFile)
	for err == nil {
		var again string
		if again, err = s.readTicket(runTicketFile); again == ticket {
			break
		}
		ticket = again
	}
	return ticket, err
}

func (s *Tickets) readTicket(name string) (string, error) {
	text, err := os.ReadFile(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil || len(text) > maxTicket {
		return "", webjob.Errorf(webjob.Unavailable, "ticket: %s cannot be read: %w", s.path(name), err)
	}
	return string(text), nil
}

// keepTicket writes in place and does not wait for the disk: one that a crash loses or
// mixes up is forgiven, and a new file for each would make the next sync wait for it.
func (s *Tickets) keepTicket(name, ticket string) error {
	if ticket == "" || len(ticket) > maxTicket {
		return nil
	}
	f, err := os.OpenFile(s.path(name), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return webjob.Errorf(webjob.Unavailable, "ticket: %w; free space or mend the state folder", err)
	}
	_, err = f.WriteAt([]byte(ticket), 0)
	if err == nil {
		err = f.Truncate(int64(len(ticket)))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return webjob.Errorf(webjob.Unavailable, "ticket: %w; free space or mend the state folder", err)
	}
	return nil
}

// withTicket does one exchange: it hands over the ticket of the one before and keeps
// the next one. Runs at the same time wait for each other.
func (s *Tickets) withTicket(exchange func(ticket string) (next string, err error)) error {
	lock := flock.New(s.path(runTicketLock))
	if err := lock.Lock(); err != nil {
		return webjob.Errorf(webjob.Unavailable, "ticket: %w; free space or mend the state folder", err)
	}
	defer func() { _ = lock.Unlock() }() // closing releases it
	ticket, err := s.readTicket(runTicketFile)
	if err != nil {
		return err
	}
	next, err := exchange(ticket)
	return errors.Join(err, s.keepTicket(runTicketFile, next))
}
