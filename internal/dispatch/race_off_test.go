//go:build !race

package dispatch

const (
	stride = 1
	walks  = 200
)
