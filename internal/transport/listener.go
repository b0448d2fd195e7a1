package transport

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Listener accepts connections through a door, and takes back those that waited without
// their HTTP server; see [Park].
type Listener struct {
	net.Listener // TCP
	door         *Door
	tls          *tls.Config
	accepted     chan accepted
	given        chan net.Conn
	closed       chan struct{}
	once         sync.Once
	departures   departures
}

type accepted struct {
	conn net.Conn
	err  error
}

// Listen makes a TCP listener one of TLS behind a door. The door may be shared.
func Listen(inner net.Listener, door *Door, config *tls.Config) *Listener {
	l := &Listener{Listener: inner, door: door, tls: config, accepted: make(chan accepted), given: make(chan net.Conn), closed: make(chan struct{})}
	go l.acceptLoop()
	return l
}

func (l *Listener) acceptLoop() {
	for {
		conn, err := l.Listener.Accept()
		if err == nil {
			guest, may := l.door.enter(conn)
			if !may {
				_ = conn.Close() // there is no room for it
				continue
			}
			conn = tls.Server(&peer{Conn: conn, guest: guest, home: l}, l.tls)
		}
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
func (l *Listener) Accept() (net.Conn, error) {
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
func (l *Listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.departures.end()
	})
	return l.Listener.Close()
}

// take takes a connection back that its HTTP server gave away.
func (l *Listener) take(conn net.Conn) {
	select {
	case l.given <- conn:
	case <-l.closed:
		closeNow(conn)
	}
}

// peer is a connection below TLS: it is at the door, knows its listener, and can gather
// what is sent; see [Cork].
type peer struct {
	net.Conn
	guest *guest
	home  *Listener

	watch  watch
	parked atomic.Pointer[Parked] // what is told when its peer leaves

	mu     sync.Mutex
	held   *[]byte // what was written and not sent yet, of corkBytes; nil: not corked
	broken error   // of sending what was held: TLS took it for sent, so that nothing may follow
}

// Close implements net.Conn.
func (p *peer) Close() error {
	if p.guest != nil {
		p.guest.leave()
	}
	p.home.departures.forget(p)
	return p.Conn.Close()
}

// peerOf returns what is below the TLS of a connection, nil when it is not one of ours.
func peerOf(conn net.Conn) *peer {
	secure, ok := conn.(*tls.Conn)
	if !ok {
		return nil
	}
	p, _ := secure.NetConn().(*peer)
	return p
}

// closeNow closes without the goodbye of TLS, for which a hostile peer could keep us
// waiting.
func closeNow(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	_ = conn.Close() // it is over either way
}

// stallTime ends a write whose peer takes no byte for so long.
const stallTime = 30 * time.Second
