package operator

import (
	"os"
	"path/filepath"
	"testing"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/config"
)

func FuzzDescription(f *testing.F) {
	f.Add([]byte("name = 'j'\narguments = ['.*']\n[limits]\nrun = '1s'\n[[payload]]\nplatform = 'any'\nfile = 'x'\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := newDescription("dir")
		if config.Decode("job.toml", data, d) != nil {
			return
		}
		for _, p := range d.Payloads {
			if !filepath.IsLocal(p.File) {
				t.Fatalf("accepted a payload outside the folder: %q", p.File)
			}
		}
	})
}

// The headers of a file tell where it runs; what has none must be described.
func TestPlatformOfAFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]webjob.Platform{
		self:                                  webjob.ThisPlatform,
		write("script.sh", "#!/bin/sh\n"):     "unix",
		write("text.txt", "hello"):            "",
		write("empty", ""):                    "",
		write("elf", "\x7fELF\x02\x01\x01"):   "",
		write("pe", "MZ\x00\x00\x00\x00\x00"): "",
	} {
		got, err := detectPlatform(file)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: got %q, %v, want %q", filepath.Base(file), got, err, want)
		}
	}
}
