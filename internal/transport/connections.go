package transport

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// Connections are the open connections of each client, or each operator, so that one that
// is shut out is cut off at once, whatever it is in the middle of.
type Connections struct {
	mu       sync.Mutex
	byClient map[string]map[*connection]struct{}
}

// connection is one connection and, after its first request, whose it is.
type connection struct {
	net.Conn
	client   string // these are guarded by Connections.mu
	admitted bool
	closed   bool
}

type connectionKey struct{}

// NewConnections returns no connections yet.
func NewConnections() *Connections {
	return &Connections{byClient: map[string]map[*connection]struct{}{}}
}

// Watch makes a server tell of its connections.
func (c *Connections) Watch(server *http.Server) {
	open := sync.Map{} // net.Conn to *connection
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		mine := &connection{Conn: conn}
		open.Store(conn, mine)
		return context.WithValue(ctx, connectionKey{}, mine)
	}
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		if state != http.StateClosed && state != http.StateHijacked {
			return
		}
		if mine, found := open.LoadAndDelete(conn); found {
			c.forget(mine.(*connection))
		}
	}
}

// Identify says that a request's connection is the client's. It comes before the question
// whether the client is let in: who is shut out in between is cut off, too.
func (c *Connections) Identify(ctx context.Context, client string) {
	mine, ok := ctx.Value(connectionKey{}).(*connection)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if mine.closed || mine.client == client {
		return
	}
	mine.client = client
	if c.byClient[client] == nil {
		c.byClient[client] = map[*connection]struct{}{}
	}
	c.byClient[client][mine] = struct{}{}
}

// Admit says that whose a request's connection is was let in: it is none of the strangers
// at the door any more. Unavailable says that the client has too many connections.
func (c *Connections) Admit(ctx context.Context, client string) error {
	mine, ok := ctx.Value(connectionKey{}).(*connection)
	if !ok {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if mine.admitted {
		return nil
	}
	if p := peerOf(mine.Conn); p != nil && p.guest != nil {
		if err := p.guest.identified(owner{c, client}); err != nil {
			return err
		}
	}
	mine.admitted = true
	return nil
}

func (c *Connections) forget(mine *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	mine.closed = true
	delete(c.byClient[mine.client], mine)
	if len(c.byClient[mine.client]) == 0 {
		delete(c.byClient, mine.client)
	}
}

// Open returns how many connections a client has.
func (c *Connections) Open(client string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.byClient[client])
}

// Cut closes every connection of a client.
func (c *Connections) Cut(client string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for mine := range c.byClient[client] {
		closeNow(mine.Conn)
	}
}
