//go:build linux

package e2e

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var systemd = flag.Bool("systemd", false, "run TestSystemd, which starts a systemd of its own in new namespaces")

// systemdInit becomes systemd, with no units but targets of its own: the usual ones
// would clean folders and set up devices of this machine.
const systemdInit = `set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /etc/systemd/system
mount -t tmpfs tmpfs /run
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for target in basic sysinit shutdown multi-user network-online; do
	printf '[Unit]\nDescription=%s\nDefaultDependencies=no\n' $target >/etc/systemd/system/$target.target
done
export container=lxc SYSTEMD_UNIT_PATH=/etc/systemd/system
exec /lib/systemd/systemd --system --unit=multi-user.target
`

// TestSystemd installs the agent as a service of a real systemd, lets it run an
// order, kills it, sees it come back, and removes it.
func TestSystemd(t *testing.T) {
	if !*systemd {
		t.Skip("make systemd runs it")
	}
	f := newKillTest(t)
	script := filepath.Join(f.work, "unit.sh")
	f.must(os.WriteFile(script, []byte("#!/bin/sh\ncat /proc/self/cgroup\n"), 0o600))
	f.run("webjobctl", "job", "publish", script)

	in := startSystemd(t)
	state := filepath.Join(f.work, "c0")
	service := func(action string) {
		t.Helper()
		in(true, filepath.Join(bin, "webjob"), "--state", state, "service", action)
	}
	running := func() int {
		t.Helper()
		for range 300 {
			pid, err := strconv.Atoi(strings.TrimPrefix(in(false, "systemctl", "show", "-p", "MainPID", "webjob-agent"), "MainPID="))
			if err == nil && pid > 0 {
				return pid
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Fatalf("the agent does not run: %s", in(false, "systemctl", "status", "--no-pager", "webjob-agent"))
		return 0
	}
	service("install")
	service("start")
	first := running()
	f.run("webjobctl", "order", "new", "unit", "--on", "id=client0", "--watch")
	if got := f.run("webjobctl", "result", "list", "--job", "unit", "-o", "json"); !strings.Contains(got, `"succeeded"`) {
		t.Errorf("the order was not carried out: %s", got)
	}
	in(true, "systemctl", "kill", "--kill-whom=main", "-s", "KILL", "webjob-agent")
	time.Sleep(time.Second)
	if again := running(); again == first {
		t.Errorf("the agent was killed and its process %d is still the same", again)
	}
	f.run("webjobctl", "order", "new", "unit", "--on", "id=client0", "--watch")
	service("stop")
	if got := in(false, "systemctl", "show", "-p", "Result", "webjob-agent"); got != "Result=success" {
		t.Errorf("after the stop: %s", got)
	}
	service("remove")
	if got := in(false, "systemctl", "cat", "webjob-agent"); !strings.Contains(got, "No files found") {
		t.Errorf("after the removal there is still: %s", got)
	}
}

// startSystemd starts systemd as process 1 of new namespaces and returns what runs a
// program there and tells its output.
func startSystemd(t *testing.T) func(must bool, program ...string) string {
	unshare := exec.Command("unshare", "--fork", "--kill-child", "--pid", "--mount", "--uts", "--ipc", "--cgroup", "--mount-proc", "sh", "-c", systemdInit)
	unshare.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	unshare.Stderr = os.Stderr
	if err := unshare.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unshare.Process.Kill()
		_ = unshare.Wait()
	})
	children := filepath.Join("/proc", strconv.Itoa(unshare.Process.Pid), "task", strconv.Itoa(unshare.Process.Pid), "children")
	in := func(must bool, program ...string) string {
		t.Helper()
		pid, _ := os.ReadFile(children)
		c := exec.Command("nsenter", append([]string{"-t", strings.TrimSpace(string(pid)), "-m", "-p", "-u", "-i", "-C"}, program...)...)
		c.Env = append(os.Environ(), "HOME=/root")
		out, err := c.CombinedOutput()
		if err != nil && must {
			t.Fatalf("%v: %v\n%s", program, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	for range 200 {
		if in(false, "systemctl", "is-system-running") == "running" {
			return in
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("systemd does not come up: %s", in(false, "systemctl", "--failed", "--no-pager"))
	return nil
}
