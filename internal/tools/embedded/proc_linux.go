package embedded

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

// Formats of /proc: proc(5).

// process is a line of ps.
type process struct {
	pid, parent int
	user, state string
	resident    int64 // KiB
	started     time.Time
	command     string
}

// ps lists all processes. Options of other ps programs that ask for that are taken.
func ps(c *call) error {
	err := c.parse(func(f *pflag.FlagSet) {
		for _, letter := range []string{"A", "a", "e", "f", "u", "w", "x"} {
			f.BoolP("all-"+letter, letter, false, "")
		}
	}, 0, 1)
	if err != nil {
		return err
	}
	if len(c.args) == 1 && strings.Trim(c.args[0], "auxwef") != "" {
		return usage{fmt.Errorf("%.40q is not known here; ps lists all processes", c.args[0])}
	}
	processes, err := processes()
	if err != nil {
		return err
	}
	return c.buffered(func(w *bufio.Writer) error {
		_, err := fmt.Fprintf(w, "%7s %7s %-12s %s %9s %-19s %s\n", "PID", "PPID", "USER", "S", "RSS_KIB", "STARTED_UTC", "COMMAND")
		for _, p := range processes {
			_, err = fmt.Fprintf(w, "%7d %7d %-12s %s %9d %-19s %s\n", p.pid, p.parent, p.user, p.state, p.resident, p.started.UTC().Format("2006-01-02 15:04:05"), p.command)
		}
		return err
	})
}

func pids() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var list []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			list = append(list, pid)
		}
	}
	if len(list) == 0 {
		return nil, errors.New("/proc holds no processes; it is not mounted")
	}
	slices.Sort(list)
	return list, nil
}

func processes() ([]process, error) {
	list, err := pids()
	if err != nil {
		return nil, err
	}
	boot := bootTime()
	var found []process
	for _, pid := range list {
		if p, err := readProcess(pid, boot); err == nil { // else it ended meanwhile
			found = append(found, p)
		}
	}
	return found, nil
}

func bootTime() time.Time {
	text, _ := os.ReadFile("/proc/stat") // without it times are from 1970 on
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "btime "); ok {
			seconds, _ := strconv.ParseInt(strings.TrimSpace(rest), 10, 64) // as above
			return time.Unix(seconds, 0)
		}
	}
	return time.Unix(0, 0)
}

const ticksASecond = 100 // USER_HZ, the same on every Linux that Go runs on

func readProcess(pid int, boot time.Time) (process, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	text, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return process{}, err
	}
	open, end := strings.IndexByte(string(text), '('), strings.LastIndexByte(string(text), ')')
	if open < 0 || end < open {
		return process{}, errors.New("stat is not readable")
	}
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) < 22 {
		return process{}, errors.New("stat is too short")
	}
	p := process{pid: pid, state: fields[0], user: "?", command: "[" + printable(string(text[open+1:end])) + "]"}
	p.parent, _ = strconv.Atoi(fields[1]) // the kernel writes numbers
	started, _ := strconv.ParseInt(fields[19], 10, 64)
	p.started = boot.Add(time.Duration(started) * time.Second / ticksASecond)
	pages, _ := strconv.ParseInt(fields[21], 10, 64)
	p.resident = pages * int64(os.Getpagesize()) >> 10
	if info, err := os.Stat(dir); err == nil {
		p.user = statOf(info).user
	}
	if line, err := os.ReadFile(filepath.Join(dir, "cmdline")); err == nil && len(line) > 0 {
		p.command = printable(strings.TrimRight(strings.ReplaceAll(string(line), "\x00", " "), " "))
	}
	return p, nil
}

var tcpStates = []string{"", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING"}

// sockets lists the sockets of TCP and UDP with their processes, as netstat -anp does.
func sockets(c *call) error {
	if err := c.parse(nil, 0, 0); err != nil {
		return err
	}
	owners := socketOwners()
	return c.buffered(func(w *bufio.Writer) error {
		_, _ = fmt.Fprintf(w, "%-5s %-45s %-45s %-12s %s\n", "PROTO", "LOCAL", "REMOTE", "STATE", "PID/PROGRAM") // an error sticks
		found := false
		for _, protocol := range []string{"tcp", "tcp6", "udp", "udp6"} {
			text, err := os.ReadFile("/proc/net/" + protocol)
			if err != nil {
				continue // no such protocol here
			}
			found = true
			for i, line := range strings.Split(string(text), "\n") {
				fields := strings.Fields(line)
				if i == 0 || len(fields) < 10 {
					continue
				}
				state := ""
				if n, err := strconv.ParseInt(fields[3], 16, 16); err == nil && int(n) < len(tcpStates) && strings.HasPrefix(protocol, "tcp") {
					state = tcpStates[n]
				}
				_, _ = fmt.Fprintf(w, "%-5s %-45s %-45s %-12s %s\n", protocol, socketAddress(fields[1]), socketAddress(fields[2]), state, owners[fields[9]])
			}
		}
		if !found {
			return errors.New("/proc/net is not there; it is not mounted")
		}
		return nil
	})
}

// socketAddress reads an address as /proc/net writes it: words of 32 bits in the order
// of this machine's bytes, which is little endian wherever it matters here.
func socketAddress(text string) string {
	host, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	number, err2 := strconv.ParseUint(port, 16, 16)
	if err != nil || err2 != nil {
		return text
	}
	for i := 0; i+4 <= len(raw); i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	address, ok := netip.AddrFromSlice(raw)
	if !ok {
		return text
	}
	return netip.AddrPortFrom(address, uint16(number)).String()
}

// socketOwners maps inodes of sockets to "PID/PROGRAM".
func socketOwners() map[string]string {
	owners := map[string]string{}
	list, _ := pids() // without them nobody owns anything
	for _, pid := range list {
		dir := filepath.Join("/proc", strconv.Itoa(pid))
		files, err := os.ReadDir(filepath.Join(dir, "fd"))
		if err != nil {
			continue // not ours to see, or gone
		}
		for _, f := range files {
			target, err := os.Readlink(filepath.Join(dir, "fd", f.Name()))
			inode, isSocket := strings.CutPrefix(target, "socket:[")
			if err != nil || !isSocket {
				continue
			}
			name, _ := os.ReadFile(filepath.Join(dir, "comm")) // it may have ended
			owners[strings.TrimSuffix(inode, "]")] = fmt.Sprintf("%d/%s", pid, printable(strings.TrimSpace(string(name))))
		}
	}
	return owners
}

// df lists the mounted file systems that have blocks.
func df(c *call) error {
	if err := c.parse(func(f *pflag.FlagSet) { f.BoolP("kib", "k", false, "") }, 0, 0); err != nil {
		return err
	}
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	return c.buffered(func(w *bufio.Writer) error {
		_, _ = fmt.Fprintf(w, "%-24s %-10s %14s %14s %14s %s\n", "DEVICE", "TYPE", "KIB", "USED", "FREE", "MOUNTED") // an error sticks
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			var s unix.Statfs_t
			if len(fields) < 3 {
				continue
			}
			mount := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\134`, `\`).Replace(fields[1])
			if err := unix.Statfs(mount, &s); err != nil || s.Blocks == 0 {
				continue
			}
			kib := func(blocks uint64) uint64 { return blocks * uint64(s.Bsize) >> 10 } //nolint:gosec // a size
			_, _ = fmt.Fprintf(w, "%-24s %-10s %14d %14d %14d %s\n", printable(fields[0]), fields[2], kib(s.Blocks), kib(s.Blocks-s.Bfree), kib(s.Bavail), printable(mount))
		}
		return nil
	})
}
