//go:build !linux

package transport

import "net"

// departures would tell when peers of parked connections leave. Here that is noticed at
// the end of the wait.
type departures struct{}

type watch struct{}

func (departures) add(net.Conn, func()) watch { return watch{} }
func (departures) remove(watch)               {}
func (departures) end()                       {}
