//go:build !unix

package transport

// MostOpen returns how many connections this process may have.
func MostOpen() int { return 1 << 16 }
