//go:build unix && !linux

package endpoint

import (
	"fmt"
	"os"
	"syscall"
)

// placeOf tells one folder from a copy of it by its number.
func placeOf(dir string) (string, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", nil
	}
	return fmt.Sprintf("number %d", stat.Ino), nil
}
