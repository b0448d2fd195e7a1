package transport

import (
	"bytes"
	"errors"
	"net"
	"testing"
)

// sent remembers what reaches the network, one entry a write.
type sent struct {
	net.Conn
	writes [][]byte
	fails  error // of the next write
}

func (s *sent) Write(p []byte) (int, error) {
	if err := s.fails; err != nil {
		s.fails = nil
		return 0, err
	}
	s.writes = append(s.writes, bytes.Clone(p))
	return len(p), nil
}

func TestCorkedConnectionsSendTogether(t *testing.T) {
	network := &sent{}
	c := &peer{Conn: network}
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

// TestNothingFollowsWhatWasNotSent: what was held and could not be sent is missing in the
// stream, for good.
func TestNothingFollowsWhatWasNotSent(t *testing.T) {
	network := &sent{fails: errors.New("timeout")}
	c := &peer{Conn: network, held: corkBuffers.Get().(*[]byte)}
	if _, err := c.Write([]byte("held")); err != nil {
		t.Fatal(err)
	}
	c.uncork()
	if _, err := c.Write([]byte("after")); err == nil || len(network.writes) > 0 {
		t.Errorf("%q was sent after a gap (%v)", network.writes, err)
	}
}
