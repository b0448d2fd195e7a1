package collect

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"webjob.dev/webjob"
)

// A file that takes the place of another one between the look at it and its reading,
// such as a link to a secret, is not taken for it.
func TestExchangedFilesAreNotRead(t *testing.T) {
	dir := t.TempDir()
	secret, harmless := filepath.Join(dir, "secret"), filepath.Join(dir, "harmless")
	for _, file := range []string{secret, harmless} {
		if err := os.WriteFile(file, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Lstat(harmless)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(harmless); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, harmless); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(dir, "contents"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }() // only a test
	c := newContents(t.Context(), out, 1000)
	var f webjob.CollectedFile
	if _, err := c.add(harmless, info, &f, 0, 1000); err == nil || !strings.Contains(err.Error(), "another file took its place") || c.whole.Size() != 0 || f.HasContent() {
		t.Errorf("%v, %+v", err, f)
	}
}
