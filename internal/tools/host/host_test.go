package host_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"webjob.dev/webjob/internal/tools/host"
)

func TestModeText(t *testing.T) {
	for mode, want := range map[fs.FileMode]string{
		0o644: "-rw-r--r--", 0: "----------", 0o755 | fs.ModeDir: "drwxr-xr-x", 0o777 | fs.ModeSymlink: "lrwxrwxrwx", 0o600 | fs.ModeNamedPipe: "prw-------", 0o700 | fs.ModeSocket: "srwx------",
		0o660 | fs.ModeDevice: "brw-rw----", 0o666 | fs.ModeDevice | fs.ModeCharDevice: "crw-rw-rw-", 0o4755&0o777 | fs.ModeSetuid: "-rwsr-xr-x", 0o644 | fs.ModeSetuid: "-rwSr--r--",
		0o755 | fs.ModeSetgid: "-rwxr-sr-x", 0o745 | fs.ModeSetgid: "-rwxr-Sr-x", 0o777 | fs.ModeDir | fs.ModeSticky: "drwxrwxrwt", 0o776 | fs.ModeSticky: "-rwxrwxrwT", 0o111: "---x--x--x",
	} {
		if got := host.ModeText(mode); got != want {
			t.Errorf("%v is %s, want %s", mode, got, want)
		}
	}
}

func TestStatusAndKernelAreThoseOfTheHost(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("compares with GNU's stat")
	}
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	s := host.StatusOf(info)
	out, err := exec.CommandContext(t.Context(), "stat", "-c", "%U %G", file).Output()
	if want := s.User + " " + s.Group + "\n"; err != nil || string(out) != want || s.Links != 1 || s.Inode == 0 || s.Changed.IsZero() || s.Accessed.IsZero() || host.DeviceOf(info) == 0 {
		t.Errorf("%+v, %s (%v)", s, out, err)
	}
	name, release, machine := host.Kernel()
	out, err = exec.CommandContext(t.Context(), "uname", "-srm").Output()
	if got := strings.Join([]string{name, release, machine}, " ") + "\n"; err != nil || got != string(out) {
		t.Errorf("%q, want %q (%v)", got, out, err)
	}
	if host.UserName("4294967290") != "4294967290" || host.GroupName("4294967290") != "4294967290" {
		t.Error("ids without a name are not themselves")
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{"plain é": "plain é", "a\x1b[2J\nb\x7f": "a?[2J?b?", "\u0085\u009b": "??", "\xff": "\uFFFD"} {
		if got := host.Printable(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}
