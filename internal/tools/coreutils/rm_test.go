package coreutils

import "testing"

// TestRmKeeps asks by the rule alone: running rm would be its own proof.
func TestRmKeeps(t *testing.T) {
	for path, want := range map[string]bool{
		"/": true, "//": true, "/.": true, "/x/..": true, ".": true, "..": true, "./": true, "a/.": true, "a/..": true, "../..": true, "/../": true, "/a/../": true,
		"a": false, "/a": false, "./a": false, ".a": false, "..a": false, "a/..b": false, "...": false, "": false,
	} {
		if isKept(path) != want {
			t.Errorf("%q: %t", path, !want)
		}
	}
}
