package durable

import "os"

// calls are what a write asks of the system after its content is there, in this order.
// Tests let each of them fail.
type calls interface {
	sync(f *os.File) error
	close(f *os.File) error
	rename(from, to string) error
	syncFolder(dir string) error
}

// system is the real one.
type system struct{}

func (system) sync(f *os.File) error        { return f.Sync() }
func (system) close(f *os.File) error       { return f.Close() }
func (system) rename(from, to string) error { return rename(from, to) }
func (system) syncFolder(dir string) error  { return SyncFolder(dir) }
