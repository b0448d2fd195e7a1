//go:build !linux

package embedded

import (
	"errors"
	"runtime"
)

var errNotHere = errors.New("not known on " + runtime.GOOS + "; run the host's own program by its path")

func ps(*call) error      { return errNotHere }
func sockets(*call) error { return errNotHere }
func df(*call) error      { return errNotHere }
