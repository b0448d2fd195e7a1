package collect

import (
	"fmt"
	"io/fs"
	"time"

	"github.com/djherbis/times"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/hostfs"
)

// setTimes fills in the times that the platform keeps, as they are now.
func setTimes(f *webjob.CollectedFile, path string, info fs.FileInfo) {
	t, err := times.Lstat(path) // knows more than info on some platforms
	if err != nil {
		t = times.Get(info)
	}
	f.Modified, f.Accessed = info.ModTime().UTC(), t.AccessTime().UTC()
	if t.HasChangeTime() {
		f.Changed = t.ChangeTime().UTC()
	}
	if t.HasBirthTime() {
		f.Born = t.BirthTime().UTC()
	}
}

// changeTime is when the metadata changed; zero where the platform does not tell.
func changeTime(info fs.FileInfo) time.Time {
	if t := times.Get(info); t.HasChangeTime() {
		return t.ChangeTime()
	}
	return time.Time{}
}

// octal returns the permissions as chmod(1) takes them.
func octal(mode fs.FileMode) string { return fmt.Sprintf("%04o", hostfs.Permissions(mode)) }
