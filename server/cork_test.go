package server

import (
	"bytes"
	"net"
	"testing"
)

// sent remembers what reaches the network, one entry a write.
type sent struct {
	net.Conn
	writes [][]byte
}

func (s *sent) Write(p []byte) (int, error) {
	s.writes = append(s.writes, bytes.Clone(p))
	return len(p), nil
}

func TestCorkedConnectionsSendTogether(t *testing.T) {
	network := &sent{}
	c := &corkConn{Conn: network}
	write := func(size int) []byte {
		p := bytes.Repeat([]byte{byte('a' + size%26)}, size)
		if n, err := c.Write(p); n != size || err != nil {
			t.Fatalf("Write of %d bytes returned %d, %v", size, n, err)
		}
		return p
	}
	want := write(10) // not corked: at once
	if len(network.writes) != 1 {
		t.Fatalf("%d writes, want 1", len(network.writes))
	}
	c.held = corkBuffers.Get().(*[]byte)
	for range 7 { // more than a buffer holds
		want = append(want, write(16<<10)...)
	}
	c.uncork()
	want = append(want, write(3)...)
	if got := bytes.Join(network.writes, nil); !bytes.Equal(got, want) {
		t.Errorf("%d bytes arrived, want the %d that were written, in their order", len(got), len(want))
	}
	if len(network.writes) != 4 {
		t.Errorf("%d writes reached the network, want 4", len(network.writes))
	}
	for _, w := range network.writes {
		if len(w) > corkBytes {
			t.Errorf("%d bytes were held, want at most %d", len(w), corkBytes)
		}
	}
	if c.held != nil {
		t.Error("the connection is still corked")
	}
}
