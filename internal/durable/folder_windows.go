package durable

import (
	"os"

	"golang.org/x/sys/windows"
)

// rename returns when the new name is on the disk (MOVEFILE_WRITE_THROUGH): Windows has
// no sync of a folder that could be asked for afterwards.
func rename(from, to string) error {
	old, err := windows.UTF16PtrFromString(from)
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	name, err := windows.UTF16PtrFromString(to)
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	if err := windows.MoveFileEx(old, name, windows.MOVEFILE_REPLACE_EXISTING|windows.MOVEFILE_WRITE_THROUGH); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// SyncFolder does nothing: renames wait for the disk by themselves, and a new file's
// name is in the journal of NTFS before its own sync returns.
func SyncFolder(string) error { return nil }
