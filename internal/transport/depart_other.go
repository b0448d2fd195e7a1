//go:build !linux

package transport

// departures would tell when peers of parked connections leave. Here that is noticed at
// the end of the wait.
type departures struct{}

type watch struct{}

func (departures) watch(*peer)  {}
func (departures) forget(*peer) {}
func (departures) end()         {}
