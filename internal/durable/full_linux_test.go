package durable

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// A disk that is full leaves the old content, and takes the next write when there is
// room again.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("no small file system can be mounted here: %v", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, 0)) })
	file := filepath.Join(dir, "name")
	must(t, Write(file, []byte("old")))
	large := bytes.Repeat([]byte("x"), 1<<20)
	for _, err := range []error{Write(file, large), WriteUnsynced(file, large), Create(filepath.Join(dir, "other"), large)} {
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("on a full disk: %v", err)
		}
	}
	if left := names(t, dir); !slices.Equal(left, []string{"name"}) || content(t, file) != "old" {
		t.Errorf("the folder holds %q, and the file %.10q", left, content(t, file))
	}
	must(t, Write(file, []byte("new")))
}
