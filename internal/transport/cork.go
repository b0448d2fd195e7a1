package transport

import (
	"net/http"
	"sync"
)

// corkBytes holds a payload of 64 KiB with the header and manifest before it.
const corkBytes = 80 << 10

var corkBuffers = sync.Pool{New: func() any {
	buffer := make([]byte, 0, corkBytes)
	return &buffer
}}

// Cork makes the connection of a request gather what is sent until the function that
// it returns is called: TLS hands over records of at most 16 KiB, each with a system call
// that also wakes up the receiver. Streams of HTTP/2 share a connection and must not wait
// for each other: theirs is left alone.
func Cork(r *http.Request) (uncork func()) {
	mine, ok := r.Context().Value(connectionKey{}).(*connection)
	if !ok || r.ProtoMajor != 1 {
		return func() {}
	}
	p := peerOf(mine.Conn)
	if p == nil {
		return func() {}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = corkBuffers.Get().(*[]byte)
	return p.uncork
}

func (p *peer) uncork() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.flush() // whatever is sent next fails with it
	corkBuffers.Put(p.held)
	p.held = nil
}

func (p *peer) flush() error {
	if len(*p.held) > 0 && p.broken == nil {
		_, p.broken = p.Conn.Write(*p.held)
	}
	*p.held = (*p.held)[:0]
	return p.broken
}

// Write implements net.Conn.
func (p *peer) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken != nil {
		return 0, p.broken
	}
	if p.held == nil {
		return p.Conn.Write(b)
	}
	if len(*p.held)+len(b) > corkBytes {
		if err := p.flush(); err != nil {
			return 0, err
		}
	}
	*p.held = append(*p.held, b...)
	return len(b), nil
}
