package collect_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint/collect"
)

// A disk that is full ends the contents, not the list, and what was kept is whole.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = full.Close() }()
	dir := t.TempDir()
	write(t, dir+"/a", "a")
	write(t, dir+"/b", "b")
	var list bytes.Buffer
	gathered, err := collect.Gather(t.Context(), collect.Rules{Bytes: 100, Collect: webjob.Collect{Files: []string{dir + "/*"}, MaxFiles: 10, MaxBytes: 100}}, &list, full)
	if err != nil || gathered.Entries != 2 || gathered.Collected.Contents != 0 || gathered.Contents.Size != 0 || !strings.Contains(gathered.Contents.Error, "no space left") {
		t.Errorf("%+v %v\n%s", gathered, err, list.String())
	}
}

// Files that the kernel makes up are read when they are named, never when they are met;
// those that never end, or wait, do neither.
func TestFilesOfTheKernel(t *testing.T) {
	named := []string{"/proc/version", "/proc/self/mem", "/proc/kmsg", "/sys/kernel/uevent_seqnum", "/dev/zero", "/dev/null", "/proc/self/fd/*"}
	start := time.Now()
	_, files, contents := gather(t.Context(), t, collect.Rules{Collect: webjob.Collect{Files: append(named, "/*/version"), MaxBytes: 1 << 20}})
	text, err := os.ReadFile(contents)
	if err != nil {
		t.Fatal(err)
	}
	if v := files["/proc/version"]; !v.HasContent() || !strings.HasPrefix(string(text[v.Offset:v.Offset+v.Stored]), "Linux version") {
		t.Errorf("/proc/version: %+v", v)
	}
	for name, reason := range map[string]string{"/proc/self/mem": "input/output error", "/proc/kmsg": ""} {
		f, found := files[name]
		if !found || f.HasContent() || !strings.Contains(f.Error+f.Skipped, reason) {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if f := files["/dev/zero"]; f.Type != webjob.Device || f.HasContent() {
		t.Errorf("/dev/zero: %+v", f)
	}
	if f := files["/proc"]; !strings.Contains(f.Skipped, "files of the kernel") {
		t.Errorf("a glob entered /proc: %+v", f)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it waited %s", took)
	}
}
