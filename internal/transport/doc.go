// Package transport is what the server's listeners have below HTTP: who is let in before
// it has shown who it is (door.go), polls that wait without a goroutine (park.go),
// connections that are cut when their client is shut out (connections.go), records that
// are sent together (cork.go), and places for what is done at once (places.go). It knows
// no rule of the product. Each of its devices is there for a figure of docs/performance.md,
// which names it.
package transport
