//go:build !linux

package host

// Processes is not known here.
func Processes(string) ([]Process, error) { return nil, ErrUnknown }

// Sockets is not known here.
func Sockets(string) ([]Socket, error) { return nil, ErrUnknown }

// Mounts is not known here.
func Mounts(string) ([]Mount, error) { return nil, ErrUnknown }
