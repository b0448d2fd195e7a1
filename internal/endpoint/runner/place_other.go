//go:build !linux

package runner

import (
	"io"

	"webjob.dev/webjob"
)

// placeInMemory returns nil, nil: this platform runs programs from files only.
func placeInMemory(webjob.Payload, func(io.Writer) error) (*Placed, error) { return nil, nil }
