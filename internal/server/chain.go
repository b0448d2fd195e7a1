package server

import (
	"context"
	"net/http"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/tickets"
	"webjob.dev/webjob/wire"
)

// Lines of tickets: an agent's polls have one of their own, since they wait for long.
const (
	lineAgent = "agent"
	lineRun   = "run"
)

// chains asks the book of tickets about requests, and has what it finds told.
type chains struct {
	book    *tickets.Book
	notify  func(webjob.Clone)
	suspend bool // both holders are shut out at once
}

func newChains(ctx context.Context, secret []byte, store webjob.Clients, suspend bool) (*chains, error) {
	book, err := tickets.Open(ctx, secret, store)
	return &chains{book: book, suspend: suspend}, err
}

// next takes the step of a client from the ticket that it shows, and returns the next
// one. An error means that the request is not to be served.
func (c *chains) next(w http.ResponseWriter, r *http.Request, client, line, ticket string) (next string, twice bool, err error) {
	a := c.book.Step(request(r, client, line, ticket))
	return a.Ticket, a.Verdict == tickets.Twice, c.act(w, client, a)
}

// show takes the ticket that a client shows with a request that takes no step.
func (c *chains) show(w http.ResponseWriter, r *http.Request, client string) error {
	return c.act(w, client, c.book.Show(request(r, client, lineRun, r.Header.Get(wire.HeaderTicket))))
}

func request(r *http.Request, client, line, ticket string) tickets.Request {
	return tickets.Request{Client: client, Line: line, Ticket: ticket, Told: r.Header.Get(wire.HeaderTold), Address: r.RemoteAddr}
}

// act does what follows from a judgement.
func (c *chains) act(w http.ResponseWriter, client string, a tickets.Answer) error {
	if a.Clone != nil {
		c.notify(*a.Clone)
	}
	switch {
	case a.Verdict == tickets.Behind:
		w.Header().Set(wire.HeaderTold, a.Told)
		return webjob.Errorf(webjob.Unavailable, "client %s shows a ticket that is %d exchanges old; "+
			"if a webjob of the version before still runs there, start it again; if not, its state folder is a copy or was set back, and an admin must look: webjobctl client readmit %s", client, a.Steps, client)
	case a.Verdict == tickets.Twice && c.suspend:
		return webjob.Errorf(webjob.Refused, "client %s is suspended; its operator can let it in again", client)
	}
	return nil
}

func (c *chains) forget(ctx context.Context, client string) error { return c.book.Forget(ctx, client) }

func (c *chains) flush(ctx context.Context) error { return c.book.Flush(ctx) }
