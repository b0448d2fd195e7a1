package server

import (
	"testing"
	"time"
)

func TestLongPollsEndOnATick(t *testing.T) {
	now := time.Unix(1000, 77_000_000)
	if got := onTick(time.Second, now); got != time.Second {
		t.Errorf("a short wait of 1s became %s", got)
	}
	long := onTick(time.Minute, now)
	if end := now.Add(long); end.UnixNano()%int64(pollTick) != 0 || long > time.Minute || long <= time.Minute-pollTick {
		t.Errorf("a wait of a minute became %s and ends at %s", long, end)
	}
}
