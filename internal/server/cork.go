package server

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// corkListener accepts connections that can gather what they send.
type corkListener struct{ net.Listener }

// Accept implements net.Listener.
func (l corkListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &corkConn{Conn: conn}, nil
}

// corkConn is a connection below TLS. TLS hands over records of at most 16 KiB, each
// with a system call that also wakes up the receiver; corked, the connection sends
// several together.
type corkConn struct {
	net.Conn
	mu     sync.Mutex
	held   *[]byte // what was written and not sent yet, of corkBytes; nil: not corked
	broken error   // of sending what was held: TLS took it for sent, so that nothing may follow
}

// corkBytes holds a payload of 64 KiB with the header and manifest before it.
const corkBytes = 80 << 10

var corkBuffers = sync.Pool{New: func() any {
	buffer := make([]byte, 0, corkBytes)
	return &buffer
}}

// cork makes the connection of a request gather what is sent until the function that
// it returns is called. Streams of HTTP/2 share a connection and must not wait for each
// other: theirs is left alone.
func cork(r *http.Request) (uncork func()) {
	mine, ok := r.Context().Value(connectionKey{}).(*connection)
	if !ok || r.ProtoMajor != 1 {
		return func() {}
	}
	secure, ok := mine.Conn.(*tls.Conn)
	if !ok {
		return func() {}
	}
	c, ok := secure.NetConn().(*corkConn)
	if !ok {
		return func() {}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = corkBuffers.Get().(*[]byte)
	return c.uncork
}

func (c *corkConn) uncork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.flush() // whatever is sent next fails with it
	corkBuffers.Put(c.held)
	c.held = nil
}

func (c *corkConn) flush() error {
	if len(*c.held) > 0 && c.broken == nil {
		_, c.broken = c.Conn.Write(*c.held)
	}
	*c.held = (*c.held)[:0]
	return c.broken
}

// Write implements net.Conn.
func (c *corkConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return 0, c.broken
	}
	if c.held == nil {
		return c.Conn.Write(p)
	}
	if len(*c.held)+len(p) > corkBytes {
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	*c.held = append(*c.held, p...)
	return len(p), nil
}
