package server

import (
	"net"
	"sync"
)

// returns are the listeners that take connections back which polls had taken from
// their HTTP servers.
type returns struct {
	mu        sync.Mutex
	byAddress map[string]*returnListener
}

// listen makes a listener that also accepts what is given back to it.
func (r *returns) listen(inner net.Listener) net.Listener {
	l := &returnListener{Listener: inner, accepted: make(chan accepted), given: make(chan net.Conn), closed: make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byAddress == nil {
		r.byAddress = map[string]*returnListener{}
	}
	r.byAddress[port(inner.Addr())] = l
	go l.acceptLoop()
	return l
}

// port names a listener by its port: a connection's own address may name one of
// several addresses of the machine.
func port(address net.Addr) string {
	_, text, err := net.SplitHostPort(address.String())
	if err != nil {
		return address.String()
	}
	return text
}

// to returns what gives a connection back to the listener at the address, nil when
// there is none.
func (r *returns) to(address net.Addr) func(net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.byAddress[port(address)]; l != nil {
		return l.take
	}
	return nil
}

type accepted struct {
	conn net.Conn
	err  error
}

type returnListener struct {
	net.Listener
	accepted chan accepted
	given    chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func (l *returnListener) acceptLoop() {
	for {
		conn, err := l.Listener.Accept()
		select {
		case l.accepted <- accepted{conn, err}:
		case <-l.closed:
			if conn != nil {
				_ = conn.Close() // nobody serves it any more
			}
			return
		}
	}
}

// Accept implements net.Listener.
func (l *returnListener) Accept() (net.Conn, error) {
	select {
	case a := <-l.accepted:
		return a.conn, a.err
	case conn := <-l.given:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *returnListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

func (l *returnListener) take(conn net.Conn) {
	select {
	case l.given <- conn:
	case <-l.closed:
		closeNow(conn)
	}
}
