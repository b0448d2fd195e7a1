package runner

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"webjob.dev/webjob"
)

const noFollow = unix.O_NOFOLLOW

// placeInMemory writes the payload to an anonymous file and seals it, so that not
// even this user can change it any more. It returns nil, nil when this kernel
// cannot, or is told not to, run a program from memory.
func placeInMemory(p webjob.Payload, fill func(io.Writer) error) (*Placed, error) {
	if p.Size > maxInMemory {
		return nil, nil
	}
	writable := anonymousFile()
	if writable == nil {
		return nil, nil
	}
	readable, err := sealed(writable, fill)
	if err := errors.Join(err, writable.Close()); err != nil {
		return nil, err
	}
	// The job gets it as descriptor 3, after standard input, output and error.
	return &Placed{Path: "/proc/self/fd/3", Inherit: []*os.File{readable}, InMemory: true, file: readable}, nil
}

// anonymousFile returns a file in memory that a program can be run from, or nil
// where /proc is missing, the kernel is too old, or an administrator forbade it
// (vm.memfd_noexec).
func anonymousFile() *os.File {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		return nil
	}
	fd, err := unix.MemfdCreate("webjob", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // a kernel before 6.3 knows no MFD_EXEC
		fd, err = unix.MemfdCreate("webjob", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil
	}
	return os.NewFile(uintptr(fd), "payload")
}

func sealed(f *os.File, fill func(io.Writer) error) (*os.File, error) {
	if err := fill(f); err != nil {
		return nil, err
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return nil, placeError(err)
	}
	// A file open for writing cannot be executed; open it again for reading.
	readable, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	return readable, placeError(err)
}
