package endpoint

import (
	"fmt"
	"os"
	"syscall"
)

// placeOf tells one folder from a copy of it by when it was made.
func placeOf(dir string) (string, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	data, ok := info.Sys().(*syscall.Win32FileAttributeData)
	if !ok {
		return "", nil
	}
	return fmt.Sprintf("made %d", data.CreationTime.Nanoseconds()), nil
}
