package transport

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Parked is a connection that waits for its answer without its HTTP server, which would
// spend two goroutines and their stacks on it. It is answered or dropped once; before, its
// peer may leave.
type Parked struct {
	conn *tls.Conn
	peer *peer

	mu       sync.Mutex
	departed func()
	over     bool
}

// Park takes the connection of a request. It returns nil when it cannot be taken: over
// HTTP/2, or when the peer wants to close.
func Park(w http.ResponseWriter, r *http.Request) *Parked {
	mine, ok := r.Context().Value(connectionKey{}).(*connection)
	if !ok || r.ProtoMajor != 1 || r.Close {
		return nil
	}
	p := peerOf(mine.Conn)
	if p == nil {
		return nil
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil
	}
	secure, ok := conn.(*tls.Conn)
	if !ok || buffered.Reader.Buffered() > 0 { // a peer that talks while it should wait
		closeNow(conn)
	}
	return &Parked{conn: secure, peer: p}
}

// OnDeparture has departed called when the peer leaves before it was answered or dropped;
// the connection is closed by then.
func (p *Parked) OnDeparture(departed func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return // the connection may be others' already
	}
	p.departed = departed
	p.peer.parked.Store(p)
	p.peer.home.departures.watch(p.peer)
}

// depart drops a connection whose peer has left.
func (p *Parked) depart() {
	if p.end() {
		closeNow(p.conn)
		p.departed()
	}
}

// end reports whether it is the first to end the wait.
func (p *Parked) end() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return false
	}
	p.over = true
	p.peer.parked.CompareAndSwap(p, nil)
	return true
}

// Answer answers with a body of the content type, and gives the connection back for the
// next request.
func (p *Parked) Answer(contentType string, body []byte) error {
	if !p.end() {
		return errors.New("the peer has left")
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\nDate: %s\r\n\r\n", contentType, len(body), time.Now().UTC().Format(http.TimeFormat))
	b.Write(body)
	err := p.conn.SetWriteDeadline(time.Now().Add(stallTime))
	if err == nil {
		_, err = p.conn.Write(b.Bytes())
	}
	if err == nil {
		err = p.conn.SetDeadline(time.Time{})
	}
	if err != nil {
		closeNow(p.conn)
		return err
	}
	p.peer.home.take(p.conn)
	return nil
}

// Drop closes the connection without an answer.
func (p *Parked) Drop() {
	if p.end() {
		closeNow(p.conn)
	}
}
