package endpoint

import (
	"time"

	"golang.org/x/sys/windows"
)

// bootTime counts back from now, to the minute: the count does not follow changes of
// the clock.
func bootTime() time.Time {
	return time.Now().Add(-windows.DurationSinceBoot()).UTC().Truncate(time.Minute)
}
