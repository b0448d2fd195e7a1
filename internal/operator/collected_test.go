package operator

import (
	"testing"

	"webjob.dev/webjob"
)

// A path is what a client says, and leads nowhere but below the folder.
func TestPlacesOfCollectedFiles(t *testing.T) {
	for path, want := range map[string]string{
		"/etc/passwd": "etc/passwd", "C:/Windows/x.log": "C/Windows/x.log", "//server/share": "server/share", "plain": "plain", "/a b/ü": "a b/ü",
	} {
		if got, err := placeOf(&webjob.CollectedFile{Path: path}); err != nil || got != want {
			t.Errorf("%q is placed at %q (%v), want %q", path, got, err, want)
		}
	}
	for _, path := range []string{
		"", "/", ".", "..", "../x", "/../x", "/etc/../../x", "/etc/..", "a//b", "a/./b", "a/", "/a\x00b", "C:/../x", "C:/../../x",
	} {
		if got, err := placeOf(&webjob.CollectedFile{Path: path}); err == nil {
			t.Errorf("%q is placed at %q", path, got)
		}
	}
	if got, err := placeOf(&webjob.CollectedFile{Path: "/harmless", RawPath: []byte("/../../x\xff")}); err == nil {
		t.Errorf("the exact name leads to %q", got)
	}
}
