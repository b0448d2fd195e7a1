package collect

import (
	"io/fs"
	"strconv"
	"time"

	"github.com/djherbis/times"

	"webjob.dev/webjob"
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
func octal(mode fs.FileMode) string {
	bits := uint64(mode.Perm())
	for _, special := range []struct {
		mode fs.FileMode
		bit  uint64
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if mode&special.mode != 0 {
			bits |= special.bit
		}
	}
	text := strconv.FormatUint(bits, 8)
	return "0000"[min(len(text), 4):] + text
}
