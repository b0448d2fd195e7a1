package transport

import (
	"errors"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// departures tells when peers of parked connections leave: nobody reads from these, and
// without reading Go does not learn of it. The kernel tells one thread for all of them;
// a read for each would be a goroutine for each.
type departures struct {
	start sync.Once
	poll  int // epoll; -1 when there is none: then a departure is noticed at the end of the wait
	ender int // eventfd that ends the thread

	mu    sync.Mutex
	last  uint64
	left  map[uint64]func()
	ended bool // the descriptors are closed, and their numbers may be others'
}

// watch names a connection that is watched; the zero watch is none.
type watch struct {
	id   uint64
	conn syscall.RawConn
}

// ending is the id of the eventfd.
const ending = 0

func (d *departures) add(conn net.Conn, left func()) watch {
	d.start.Do(d.run)
	source, ok := conn.(syscall.Conn)
	if !ok || d.poll < 0 {
		return watch{}
	}
	raw, err := source.SyscallConn()
	if err != nil {
		return watch{}
	}
	d.mu.Lock()
	d.last++
	w := watch{id: d.last, conn: raw}
	d.left[w.id] = left
	d.mu.Unlock()
	var added error
	err = raw.Control(func(fd uintptr) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.ended {
			return
		}
		added = d.control(unix.EPOLL_CTL_ADD, int(fd), w.id, unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR|unix.EPOLLONESHOT)
	})
	if errors.Join(err, added) != nil {
		d.forget(w.id)
		return watch{}
	}
	return w
}

func (d *departures) control(operation, fd int, id uint64, events uint32) error {
	return unix.EpollCtl(d.poll, operation, fd, &unix.EpollEvent{Events: events, Fd: int32(uint32(id)), Pad: int32(uint32(id >> 32))}) //nolint:gosec // 64 bits of ours
}

// remove ends a watch; what left before may still be told.
func (d *departures) remove(w watch) {
	if w.conn == nil {
		return
	}
	d.forget(w.id)
	_ = w.conn.Control(func(fd uintptr) { // of a closed one the kernel has forgotten
		d.mu.Lock()
		defer d.mu.Unlock()
		if !d.ended {
			_ = unix.EpollCtl(d.poll, unix.EPOLL_CTL_DEL, int(fd), nil)
		}
	})
}

func (d *departures) forget(id uint64) (left func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	left = d.left[id]
	delete(d.left, id)
	return left
}

func (d *departures) run() {
	d.left = map[uint64]func(){}
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
			if left := d.forget(id); left != nil {
				left()
			}
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
