// Package bundle packs a folder into one payload and unpacks it again on an endpoint.
// A bundle is a tar archive (POSIX pax) compressed with zstd (RFC 8878). Packing the
// same folder twice gives the same bytes.
//
// Unpack treats a bundle as hostile, whoever signed it: nothing is written outside of
// the folder, links lead only inside it, and size and count are bounded before they
// are used.
package bundle

import (
	"path"
	"strings"
	"unicode/utf8"

	"webjob.dev/webjob"
)

// Bounds of a bundle.
const (
	MaxEntries   = 100_000
	MaxDepth     = 64
	maxNameBytes = 4096
	maxPartBytes = 255     // of one name between slashes
	maxWindow    = 8 << 20 // memory of the decompressor, bytes
)

// CheckName accepts the name of an entry: a relative path with forward slashes whose
// parts are ordinary names.
func CheckName(name string) error {
	switch {
	case name == "" || len(name) > maxNameBytes:
		return webjob.Errorf(webjob.Refused, "a name in the bundle has %d bytes; it must have 1 to %d", len(name), maxNameBytes)
	case strings.ContainsRune(name, 0):
		return webjob.Errorf(webjob.Refused, "%.80q in the bundle holds a NUL byte", name)
	case path.IsAbs(name) || path.Clean(name) != name || strings.HasPrefix(name, ".."):
		return webjob.Errorf(webjob.Refused, "%.80q in the bundle is not a plain relative path", name)
	case strings.Count(name, "/") >= MaxDepth:
		return webjob.Errorf(webjob.Refused, "%.80q in the bundle is deeper than %d folders", name, MaxDepth)
	}
	for part := range strings.SplitSeq(name, "/") {
		if len(part) > maxPartBytes {
			return webjob.Errorf(webjob.Refused, "%.80q in the bundle has a part of more than %d bytes", name, maxPartBytes)
		}
	}
	return nil
}

// windowsDevices are names that Windows takes for devices, with any extension
// (https://learn.microsoft.com/windows/win32/fileio/naming-a-file).
var windowsDevices = map[string]bool{
	"con": true, "prn": true, "aux": true, "nul": true, "conin$": true, "conout$": true,
}

// isWindowsDevice says whether a name without extension is one of these, or com or lpt
// with a digit.
func isWindowsDevice(base string) bool {
	base = strings.ToLower(strings.TrimRight(base, " "))
	digit, found := strings.CutPrefix(base, "com")
	if !found {
		digit, found = strings.CutPrefix(base, "lpt")
	}
	return windowsDevices[base] || found && utf8.RuneCountInString(digit) == 1 && strings.ContainsAny(digit, "0123456789¹²³")
}

// CheckPortable accepts names that Windows can hold, too.
func CheckPortable(name string) error {
	for part := range strings.SplitSeq(name, "/") {
		base, _, _ := strings.Cut(part, ".")
		if isWindowsDevice(base) || strings.HasSuffix(part, ".") || strings.HasSuffix(part, " ") || strings.ContainsFunc(part, notOnWindows) {
			return webjob.Errorf(webjob.Refused, "%.80q in the bundle is not a name that Windows can hold; rename it, or publish for other platforms only", name)
		}
	}
	return nil
}

func notOnWindows(r rune) bool { return r < 32 || strings.ContainsRune(`<>:"\|?*`, r) }

// linkStaysInside says whether a link, at a name that was checked and whose folders are
// no links, leads to somewhere inside of the bundle. A target may go up only at its
// start: after another link, up is not where it seems.
func linkStaysInside(name, target string) bool {
	if target == "" || len(target) > maxNameBytes || path.IsAbs(target) || strings.ContainsAny(target, "\x00\\:") || path.Clean(target) != target {
		return false
	}
	full := path.Join(path.Dir(name), target)
	return full != ".." && !strings.HasPrefix(full, "../")
}
