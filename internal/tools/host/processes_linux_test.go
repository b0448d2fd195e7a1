package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// proc makes a folder like /proc.
func proc(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, link := strings.CutPrefix(content, "-> "); link {
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// stat is a line of /proc/PID/stat with this name, parent, start in ticks and pages.
func stat(name string, parent, start, pages int) string {
	return fmt.Sprintf("7 (%s) S %d 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 %d 1000 %d 184 0 0", name, parent, start, pages)
}

func TestProcesses(t *testing.T) {
	dir := proc(t, map[string]string{
		"stat":       "cpu 1 2\nbtime 1700000000\n",
		"7/stat":     stat("kthread", 2, 100, 3),
		"8/stat":     stat("evil) R 1 (", 1, 250, 0),
		"8/cmdline":  "evil\x00--name\x00a\x1b[2Jb\nfake line\x00",
		"9/stat":     "9 (short) S 1",
		"10/comm":    "ended meanwhile",
		"11/stat":    "no brackets",
		"12/stat":    stat("new\nline\x07", -5, -1, -1),
		"12/cmdline": "",
		"self/stat":  stat("no number", 1, 1, 1),
	})
	list, err := Processes(dir)
	if err != nil || len(list) != 3 {
		t.Fatalf("%+v, %v", list, err)
	}
	boot := time.Unix(1_700_000_000, 0)
	me := UserName(fmt.Sprint(os.Getuid()))
	for i, want := range []Process{
		{PID: 7, Parent: 2, User: me, State: "S", Resident: int64(3 * os.Getpagesize() >> 10), Started: boot.Add(time.Second), Command: "[kthread]"},
		{PID: 8, Parent: 1, User: me, State: "S", Started: boot.Add(2500 * time.Millisecond), Command: "evil --name a?[2Jb?fake line"},
		{PID: 12, Parent: -5, User: me, State: "S", Resident: int64(-os.Getpagesize() >> 10), Started: boot.Add(-10 * time.Millisecond), Command: "[new?line?]"},
	} {
		if list[i] != want {
			t.Errorf("%+v, want %+v", list[i], want)
		}
	}
	if _, err := Processes(t.TempDir()); err == nil || !strings.Contains(err.Error(), "it is not mounted") {
		t.Error(err)
	}
	if _, err := Processes(filepath.Join(dir, "nothing")); err == nil {
		t.Error("a folder that is not there was read")
	}
}

func TestProcessesOfThisHost(t *testing.T) {
	list, err := Processes(Proc)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if p.PID == os.Getpid() {
			if p.Parent != os.Getppid() || !strings.Contains(p.Command, "host.test") || time.Since(p.Started) > time.Hour || time.Since(p.Started) < -time.Minute || p.Resident < 100 {
				t.Errorf("%+v", p)
			}
			return
		}
	}
	t.Error("this process is not in the list")
}

func TestSockets(t *testing.T) {
	const titles = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	row := func(local, remote, state, inode string) string {
		return "   0: " + local + " " + remote + " " + state + " 00000000:00000000 00:00000000 00000000  1000        0 " + inode + " 1 0000 100 0 0 10 0\n"
	}
	dir := proc(t, map[string]string{
		"net/tcp":  titles + row("0100007F:1F90", "00000000:0000", "0A", "111") + row("0100007F:1F90", "0200007F:C001", "01", "222") + "short line\n" + row("zz\x1b:1", "1:1", "FF", "333"),
		"net/udp6": titles + row("00000000000000000000000001000000:0035", "00000000000000000000000000000000:0000", "07", "0"),
		"5/fd/3":   "-> socket:[111]",
		"5/fd/4":   "-> /dev/null",
		"5/comm":   "server\x1b\n",
		"6/comm":   "no fd",
	})
	list, err := Sockets(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []Socket{
		{"tcp", "127.0.0.1:8080", "0.0.0.0:0", "LISTEN", "5/server?"},
		{"tcp", "127.0.0.1:8080", "127.0.0.2:49153", "ESTABLISHED", ""},
		{"tcp", "zz?:1", "1:1", "", ""},
		{"udp6", "[::1]:53", "[::]:0", "", ""},
	}
	if fmt.Sprint(list) != fmt.Sprint(want) {
		t.Errorf("%q\nwant %q", list, want)
	}
	if _, err := Sockets(t.TempDir()); err == nil || !strings.Contains(err.Error(), "net is not there") {
		t.Error(err)
	}
}

func TestMounts(t *testing.T) {
	dir := proc(t, map[string]string{"self/mounts": "/dev/root / ext4 rw 0 0\nshort\nproc /proc proc rw 0 0\n/dev/x /not\\040there ext4 rw 0 0\n"})
	list, err := Mounts(dir)
	if err != nil || len(list) != 1 || list[0].Folder != "/" || list[0].Device != "/dev/root" || list[0].Size == 0 || list[0].Used > list[0].Size {
		t.Errorf("%+v, %v", list, err)
	}
	m, ok := parseMount(`/dev/a\040b /mnt/c\134d\011e\012f\043g ext4 rw 0 0`)
	if want := (Mount{Device: "/dev/a b", Folder: "/mnt/c\\d\te\nf#g", Type: "ext4"}); !ok || m != want {
		t.Errorf("%+v", m)
	}
}

// FuzzProc reads what a hostile process may write into its own lines.
func FuzzProc(f *testing.F) {
	f.Add(stat("x", 1, 2, 3), " 0: 0100007F:1F90 00000000:0000 0A 0 0 0 0 0 111 1", "/dev/a /b ext4 rw 0 0")
	f.Add("1 () S", "a b c d e f g h i j k", "")
	f.Fuzz(func(t *testing.T, process, socket, mount string) {
		if p, err := parseStat(process, time.Time{}); err == nil && Printable(p.Command+p.State) != p.Command+p.State {
			t.Errorf("%+q %q", p.Command, p.State)
		}
		if s, _, ok := parseSocket("tcp", socket); ok && Printable(s.Local+s.Remote+s.State) != s.Local+s.Remote+s.State {
			t.Errorf("%+v", s)
		}
		parseMount(mount)
	})
}
