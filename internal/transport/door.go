package transport

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
	"time"

	"webjob.dev/webjob"
)

// Bounds of connections that have not shown whose they are. Each costs a goroutine or two
// and the work of a handshake.
const (
	maxStrangers           = 4096
	maxStrangersPerAddress = 2048 // many machines may be behind one
	// strangerTime is how long one may take when all places are taken: more than the
	// handshakes of all of them need.
	strangerTime = 10 * time.Second
	// maxOfOne bounds the connections of one client, or one operator, that was let in: an
	// agent needs one for its polls and one or two for each of its runs.
	maxOfOne = 2048
)

// Door bounds connections: all of them, and more tightly those that have not shown
// whose they are, altogether and from one address, and those of each who has. Whoever was
// let in stays, so that a flood of strangers does not reach those who work.
type Door struct {
	mostOpen  int
	mostOfOne int

	mu        sync.Mutex
	open      int
	strangers *list.List // of *guest, oldest first
	byAddress map[netip.Prefix]int
	byOwner   map[owner]int
	changed   chan struct{} // closed and made anew when somebody left or was identified
}

// owner is who a connection was let in for: one of the clients, or of the operators.
type owner struct {
	of   *Connections
	name string
}

// guest is a connection at the door.
type guest struct {
	door    *Door
	conn    net.Conn
	address netip.Prefix
	since   time.Time
	place   *list.Element // nil once it has shown whose it is
	owner   owner         // whose it is then
	gone    bool
}

// NewDoor returns a door for at most so many connections.
func NewDoor(mostOpen int) *Door {
	return &Door{
		mostOpen: mostOpen, mostOfOne: min(maxOfOne, max(mostOpen/4, 1)),
		strangers: list.New(), byAddress: map[netip.Prefix]int{}, byOwner: map[owner]int{}, changed: make(chan struct{}),
	}
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

// identified takes a connection from among the strangers, unless its owner has too many.
func (g *guest) identified(o owner) error {
	d := g.door
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case g.gone || g.owner == o: // it is gone, or was counted
	case d.byOwner[o] >= d.mostOfOne:
		return webjob.Errorf(webjob.Unavailable, "%s has %d connections open, and may have no more; close some", o.name, d.byOwner[o])
	default:
		g.disown()
		g.owner = o
		d.byOwner[o]++
	}
	g.known()
	return nil
}

// disown takes a connection from its owner; the door's mu is held.
func (g *guest) disown() {
	d := g.door
	if d.byOwner[g.owner]--; d.byOwner[g.owner] <= 0 {
		delete(d.byOwner, g.owner)
	}
	g.owner = owner{}
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
	g.disown()
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
