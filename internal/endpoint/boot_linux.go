package endpoint

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// bootTime reads the line "btime SECONDS" of /proc/stat (proc(5)).
func bootTime() time.Time {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return time.Time{}
	}
	for line := range strings.Lines(string(text)) {
		if seconds, found := strings.CutPrefix(line, "btime "); found {
			if n, err := strconv.ParseInt(strings.TrimSpace(seconds), 10, 64); err == nil {
				return time.Unix(n, 0).UTC()
			}
		}
	}
	return time.Time{}
}
