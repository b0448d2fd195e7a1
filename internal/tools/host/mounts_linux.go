package host

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Mounts returns the mounted file systems that have blocks, of those that the folder,
// which is [Proc], shows.
func Mounts(proc string) ([]Mount, error) {
	text, err := os.ReadFile(filepath.Join(proc, "self", "mounts"))
	if err != nil {
		return nil, err
	}
	var list []Mount
	for line := range strings.Lines(string(text)) {
		m, ok := parseMount(line)
		var s unix.Statfs_t
		if !ok || unix.Statfs(m.Folder, &s) != nil || s.Blocks == 0 {
			continue
		}
		kib := func(blocks uint64) uint64 { return blocks * uint64(s.Bsize) >> 10 } //nolint:gosec // a size
		m.Size, m.Used, m.Free = kib(s.Blocks), kib(s.Blocks-s.Bfree), kib(s.Bavail)
		list = append(list, m)
	}
	return list, nil
}

// parseMount reads a line of /proc/self/mounts, where blanks in names are octal.
func parseMount(line string) (Mount, bool) {
	fields := strings.Fields(line)
	if len(fields) < 3 {
		return Mount{}, false
	}
	plain := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\043`, "#", `\134`, `\`)
	return Mount{Device: plain.Replace(fields[0]), Type: fields[2], Folder: plain.Replace(fields[1])}, true
}
