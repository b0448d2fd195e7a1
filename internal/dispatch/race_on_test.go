//go:build race

package dispatch

// The race detector makes SQLite ten times slower: with it a part of what is tested is
// enough, since all of it is tested without.
const (
	stride = 5 // one in so many calls of the store
	walks  = 20
)
