package transport

import (
	"errors"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// departures tells when peers of parked connections leave: nobody reads from these, and
// without reading Go does not learn of it. The kernel tells one thread for all of them;
// a read for each would be a goroutine for each. A connection is handed to the kernel once,
// when it is parked first, and again only after it was told of.
type departures struct {
	start sync.Once
	poll  int // epoll; -1 when there is none: then a departure is noticed at the end of the wait
	ender int // eventfd that ends the thread

	mu      sync.Mutex
	last    uint64
	watched map[uint64]*peer
	ended   bool // the descriptors are closed, and their numbers may be others'
}

// watch is what departures has of a connection.
type watch struct {
	id       uint64 // 0: not watched yet
	closed   bool
	reported atomic.Bool // the kernel told of it, and tells no more until it is asked again
}

// ending is the id of the eventfd.
const ending = 0

// watch has the connection that p parks told of when its peer leaves.
func (d *departures) watch(p *peer) {
	d.start.Do(d.run)
	operation := d.operation(p)
	if operation == 0 {
		return
	}
	source, ok := p.Conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := source.SyscallConn()
	if err != nil {
		return // it is closed
	}
	_ = raw.Control(func(fd uintptr) { // else it is closed
		d.mu.Lock()
		defer d.mu.Unlock()
		if !d.ended { // what cannot be watched is noticed at the end of the wait
			_ = d.control(operation, int(fd), p.watch.id, unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR|unix.EPOLLONESHOT)
		}
	})
}

// operation returns what is to be asked of the kernel, 0 for nothing.
func (d *departures) operation(p *peer) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.poll < 0 || p.watch.closed:
		return 0
	case p.watch.id == 0:
		if d.watched == nil {
			d.watched = map[uint64]*peer{}
		}
		d.last++
		p.watch.id = d.last
		d.watched[p.watch.id] = p
		return unix.EPOLL_CTL_ADD
	case p.watch.reported.Swap(false):
		return unix.EPOLL_CTL_MOD
	}
	return 0
}

func (d *departures) control(operation, fd int, id uint64, events uint32) error {
	return unix.EpollCtl(d.poll, operation, fd, &unix.EpollEvent{Events: events, Fd: int32(uint32(id)), Pad: int32(uint32(id >> 32))}) //nolint:gosec // 64 bits of ours
}

// forget ends the watch of a connection that is closed: the kernel has forgotten it.
func (d *departures) forget(p *peer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p.watch.closed = true
	delete(d.watched, p.watch.id)
}

// tell tells a connection that its peer has left.
func (d *departures) tell(id uint64) {
	d.mu.Lock()
	p := d.watched[id]
	d.mu.Unlock()
	if p == nil {
		return
	}
	p.watch.reported.Store(true) // before it is looked whether it is parked: who parks it now asks again
	if parked := p.parked.Load(); parked != nil {
		parked.depart()
	}
}

func (d *departures) run() {
	d.poll = -1
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return
	}
	ender, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		_ = unix.Close(poll)
		return
	}
	d.poll, d.ender = poll, ender
	if d.control(unix.EPOLL_CTL_ADD, ender, ending, unix.EPOLLIN) != nil {
		d.poll = -1
		_ = errors.Join(unix.Close(poll), unix.Close(ender)) // nothing was written
		return
	}
	go d.wait()
}

func (d *departures) wait() {
	events := make([]unix.EpollEvent, 256)
	for {
		n, err := unix.EpollWait(d.poll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		for _, e := range events[:max(n, 0)] {
			id := uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32 //nolint:gosec // as it was given
			if id == ending {
				d.mu.Lock()
				defer d.mu.Unlock()
				d.ended = true
				_ = errors.Join(unix.Close(d.poll), unix.Close(d.ender)) // nothing was written
				return
			}
			d.tell(id)
		}
	}
}

// end stops the thread, once; nothing may be added any more.
func (d *departures) end() {
	d.start.Do(func() { d.poll = -1 })
	if d.poll >= 0 {
		_, _ = unix.Write(d.ender, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // 8 bytes always fit
	}
}
