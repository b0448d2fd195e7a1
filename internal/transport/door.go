package transport

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Bounds of connections that have not shown whose they are. Each costs a goroutine or two
// and the work of a handshake.
const (
	maxStrangers           = 4096
	maxStrangersPerAddress = 2048 // many machines may be behind one
	// strangerTime is how long one may take when all places are taken: more than the
	// handshakes of all of them need.
	strangerTime = 10 * time.Second
)

// Door bounds connections: all of them, and more tightly those that have not shown
// whose they are, altogether and from one address. Whoever was let in stays, so that a
// flood of strangers does not reach those who work.
type Door struct {
	mostOpen int

	mu        sync.Mutex
	open      int
	strangers *list.List // of *guest, oldest first
	byAddress map[netip.Prefix]int
	changed   chan struct{} // closed and made anew when somebody left or was identified
}

// guest is a connection at the door.
type guest struct {
	door    *Door
	conn    net.Conn
	address netip.Prefix
	since   time.Time
	place   *list.Element // nil once it has shown whose it is
	gone    bool
}

// NewDoor returns a door for at most so many connections.
func NewDoor(mostOpen int) *Door {
	return &Door{mostOpen: mostOpen, strangers: list.New(), byAddress: map[netip.Prefix]int{}, changed: make(chan struct{})}
}

// enter lets a connection in, or says no. While all places of strangers are taken it
// waits for one, and closes those that take too long.
func (d *Door) enter(conn net.Conn) (*guest, bool) {
	g := &guest{door: d, conn: conn, address: addressOf(conn)}
	for {
		d.mu.Lock()
		if d.open >= d.mostOpen || d.byAddress[g.address] >= maxStrangersPerAddress {
			d.mu.Unlock()
			return nil, false
		}
		if d.strangers.Len() < maxStrangers {
			g.since = time.Now()
			g.place = d.strangers.PushBack(g)
			d.byAddress[g.address]++
			d.open++
			d.mu.Unlock()
			return g, true
		}
		oldest, changed := d.strangers.Front().Value.(*guest), d.changed
		d.mu.Unlock()
		timer := time.NewTimer(time.Until(oldest.since.Add(strangerTime)))
		select {
		case <-changed:
		case <-timer.C:
			_ = oldest.conn.Close() // it had its time
			oldest.leave()
		}
		timer.Stop()
	}
}

// identified takes a connection from among the strangers.
func (g *guest) identified() {
	g.door.mu.Lock()
	defer g.door.mu.Unlock()
	g.known()
}

// known does so; the door's mu is held.
func (g *guest) known() {
	d := g.door
	if g.place == nil {
		return
	}
	d.strangers.Remove(g.place)
	g.place = nil
	if d.byAddress[g.address]--; d.byAddress[g.address] == 0 {
		delete(d.byAddress, g.address)
	}
	close(d.changed)
	d.changed = make(chan struct{})
}

func (g *guest) leave() {
	g.door.mu.Lock()
	defer g.door.mu.Unlock()
	if g.gone {
		return
	}
	g.gone = true
	g.known()
	g.door.open--
}

// addressOf returns whom an address counts for: with IPv6 a network of 64 bits, which is
// what one customer has at least.
func addressOf(conn net.Conn) netip.Prefix {
	at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Prefix{}
	}
	address := at.Addr().Unmap()
	bits := address.BitLen()
	if address.Is6() {
		bits = 64
	}
	prefix, err := address.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
