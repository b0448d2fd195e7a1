package durable

import "os"

func rename(from, to string) error { return os.Rename(from, to) }

// SyncFolder does nothing: AIX syncs no folders (fsync needs a file that is open for
// writing), and JFS2 keeps names in its journal.
func SyncFolder(string) error { return nil }
