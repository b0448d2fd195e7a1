package transport

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"
)

// served is an HTTP server behind a door, and how to reach it.
func served(t *testing.T, door *Door, handler http.HandlerFunc) (dial func() net.Conn) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := Listen(inner, door, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
	NewConnections().Watch(server)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return func() net.Conn {
		conn, err := tls.Dial("tcp", inner.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
}

func ask(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
}

func answered(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil || string(body) != want {
		t.Fatalf("got %q, %v, want %q", body, err, want)
	}
}

// A parked connection is answered, and serves the next request; one whose peer leaves is
// noticed at once, whether it says goodbye or is killed.
func TestParkedConnections(t *testing.T) {
	parked, left := make(chan *Parked, 1), make(chan int, 9)
	n := 0
	dial := served(t, NewDoor(10), func(w http.ResponseWriter, r *http.Request) {
		p := Park(w, r)
		if p == nil {
			t.Error("the connection was not parked")
			return
		}
		n++
		mine := n
		p.OnDeparture(func() { left <- mine })
		parked <- p
	})
	conn := dial()
	for _, body := range []string{"one", "two"} {
		ask(t, conn)
		if err := (<-parked).Answer("text/plain", []byte(body)); err != nil {
			t.Fatal(err)
		}
		answered(t, conn, body)
	}
	for i, leave := range []func(net.Conn){
		func(c net.Conn) { _ = c.Close() },                                                                        // says goodbye
		func(c net.Conn) { _ = c.(*tls.Conn).NetConn().Close() },                                                  // as a process that was killed
		func(c net.Conn) { raw := c.(*tls.Conn).NetConn().(*net.TCPConn); _ = raw.SetLinger(0); _ = raw.Close() }, // a reset
	} {
		ask(t, conn)
		p := <-parked
		leave(conn)
		select {
		case <-left:
		case <-time.After(30 * time.Second):
			t.Fatalf("departure %d was not noticed", i)
		}
		if err := p.Answer("text/plain", nil); err == nil {
			t.Error("an answer was given to nobody")
		}
		conn = dial()
	}
	_ = conn.Close()
	if len(left) > 0 {
		t.Error("somebody left twice")
	}
}

// A peer that leaves is noticed, too, when its request before was answered at once, and when
// it left while its request was read.
func TestDeparturesAreNotMissed(t *testing.T) {
	type step struct{ answer, soon, hold bool } // soon: before it is watched
	steps, held, left := make(chan step, 1), make(chan struct{}), make(chan struct{}, 9)
	dial := served(t, NewDoor(10), func(w http.ResponseWriter, r *http.Request) {
		s := <-steps
		if s.hold {
			<-held
		}
		p := Park(w, r)
		if p == nil {
			t.Error("the connection was not parked")
			return
		}
		onLeave := func() { left <- struct{}{} }
		if !s.soon {
			p.OnDeparture(onLeave)
		}
		if s.answer {
			if err := p.Answer("text/plain", []byte("x")); err != nil {
				t.Error(err)
			}
		}
		if s.soon {
			p.OnDeparture(onLeave)
		}
	})
	for _, s := range [][]step{
		{{answer: true, soon: true}, {}},
		{{answer: true}, {answer: true, soon: true}, {}},
		{{answer: true}, {hold: true}},
		{{hold: true}},
	} {
		conn := dial()
		for _, step := range s {
			steps <- step
			ask(t, conn)
			if step.answer {
				answered(t, conn, "x")
			}
			if step.hold {
				_ = conn.(*tls.Conn).NetConn().Close()
				time.Sleep(50 * time.Millisecond) // it may be told of now, while it is not parked
				held <- struct{}{}
			}
		}
		_ = conn.Close()
		select {
		case <-left:
		case <-time.After(30 * time.Second):
			t.Fatalf("a departure after %+v was not noticed", s)
		}
	}
}

// end closes a pipe's other end too.
type fake struct {
	net.Conn
	address string
	closed  chan struct{}
}

func newFake(address string) *fake { return &fake{address: address, closed: make(chan struct{})} }

func (f *fake) RemoteAddr() net.Addr { return addr(f.address) }
func (f *fake) Close() error         { close(f.closed); return nil }

type addr string

func (addr) Network() string  { return "tcp" }
func (a addr) String() string { return string(a) }

// Strangers are bounded from one address and altogether; those who have shown who they are
// count no more among them, and none of them is closed for others.
func TestDoor(t *testing.T) {
	d := NewDoor(3 * maxStrangers)
	var known []*guest
	enter := func(address string) (*guest, bool) { return d.enter(newFake(address)) }
	for range maxStrangersPerAddress {
		g, may := enter("192.0.2.1:9")
		if !may {
			t.Fatal("turned away although there is room")
		}
		known = append(known, g)
	}
	if _, may := enter("192.0.2.1:10"); may {
		t.Error("one address has more places than it may")
	}
	for i, g := range known {
		if err := g.identified(owner{name: fmt.Sprint("client", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, may := enter("192.0.2.1:11"); !may {
		t.Error("those who are known count among the strangers")
	}
	for i := range maxStrangers - 1 {
		if _, may := enter(fmt.Sprintf("[2001:db8:%x:%x::1]:9", i/4, i%4)); !may {
			t.Fatal("turned away although there is room")
		}
	}
	waiting := make(chan bool, 1)
	go func() { _, may := enter("198.51.100.1:9"); waiting <- may }()
	select {
	case <-waiting:
		t.Error("it did not wait for a place")
	case <-time.After(50 * time.Millisecond):
	}
	first := d.strangers.Front().Value.(*guest)
	first.leave()
	first.leave() // closed twice
	if !<-waiting {
		t.Error("it got no place although one left")
	}
	oldest := d.strangers.Front().Value.(*guest)
	oldest.since = time.Now().Add(-strangerTime) // it has had its time
	if _, may := enter("198.51.100.2:9"); !may {
		t.Error("it got no place although one had its time")
	}
	<-oldest.conn.(*fake).closed
	d.mostOpen = d.open
	if _, may := enter("198.51.100.3:9"); may {
		t.Error("there are more connections than there may be")
	}
}

// A connection is a stranger's until its client was let in, which happens to so many of one
// client and no more; those that end make room.
func TestConnectionsOfOneClientAreBounded(t *testing.T) {
	door, clients := NewDoor(16), NewConnections()
	dial := served(t, door, func(w http.ResponseWriter, r *http.Request) {
		client := r.URL.Query().Get("client")
		clients.Identify(r.Context(), client)
		if r.URL.Query().Has("refused") {
			return
		}
		if err := clients.Admit(r.Context(), client); err != nil {
			_, _ = io.WriteString(w, err.Error())
		}
	})
	say := func(conn net.Conn, query, want string) {
		t.Helper()
		if _, err := fmt.Fprintf(conn, "GET /?client=%s HTTP/1.1\r\nHost: x\r\n\r\n", query); err != nil {
			t.Fatal(err)
		}
		answered(t, conn, want)
	}
	strangers := func() int {
		door.mu.Lock()
		defer door.mu.Unlock()
		return door.strangers.Len()
	}
	var conns []net.Conn
	for range 5 {
		conn := dial()
		defer func() { _ = conn.Close() }()
		conns = append(conns, conn)
	}
	for _, conn := range conns[:4] {
		say(conn, "web1&refused", "")
	}
	if n := strangers(); n != 5 {
		t.Errorf("%d strangers: who was not let in is one", n)
	}
	const full = "web1 has 4 connections open, and may have no more; close some"
	for _, conn := range conns[:4] {
		say(conn, "web1", "")
		say(conn, "web1", "")
	}
	say(conns[4], "web1", full)
	if n := strangers(); n != 1 {
		t.Errorf("%d strangers, want the one that is too many", n)
	}
	_ = conns[0].Close()
	for open := 5; open != 4; time.Sleep(time.Millisecond) {
		door.mu.Lock()
		open = door.open
		door.mu.Unlock()
	}
	say(conns[4], "web1", "")
	other := dial()
	defer func() { _ = other.Close() }()
	say(other, "web2", "")
	if len(door.byOwner) != 2 {
		t.Errorf("%d clients are counted, want 2", len(door.byOwner))
	}
}
