package host

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

var tcpStates = []string{"", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING"}

// Sockets returns the sockets of TCP and UDP that the folder, which is [Proc], shows.
func Sockets(proc string) ([]Socket, error) {
	owners := socketOwners(proc)
	var list []Socket
	found := false
	for _, protocol := range []string{"tcp", "tcp6", "udp", "udp6"} {
		text, err := os.ReadFile(filepath.Join(proc, "net", protocol))
		if err != nil {
			continue // no such protocol here
		}
		found = true
		_, rows, _ := strings.Cut(string(text), "\n") // after the titles
		for line := range strings.Lines(rows) {
			if s, inode, ok := parseSocket(protocol, line); ok {
				s.Owner = owners[inode]
				list = append(list, s)
			}
		}
	}
	if !found {
		return nil, fmt.Errorf("%s/net is not there; it is not mounted", proc)
	}
	return list, nil
}

// parseSocket reads a line of /proc/net/tcp and its relatives.
func parseSocket(protocol, line string) (s Socket, inode string, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 10 {
		return Socket{}, "", false
	}
	s = Socket{Protocol: protocol, Local: socketAddress(fields[1]), Remote: socketAddress(fields[2])}
	if n, err := strconv.ParseUint(fields[3], 16, 16); err == nil && int(n) < len(tcpStates) && strings.HasPrefix(protocol, "tcp") {
		s.State = tcpStates[n]
	}
	return s, fields[9], true
}

// socketAddress reads an address as /proc/net writes it: words of 32 bits in the order
// of this machine's bytes, which is little endian wherever it matters here.
func socketAddress(text string) string {
	host, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	number, err2 := strconv.ParseUint(port, 16, 16)
	if err != nil || err2 != nil {
		return Printable(text)
	}
	for i := 0; i+4 <= len(raw); i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	address, ok := netip.AddrFromSlice(raw)
	if !ok {
		return Printable(text)
	}
	return netip.AddrPortFrom(address, uint16(number)).String()
}

// socketOwners maps inodes of sockets to "PID/PROGRAM".
func socketOwners(proc string) map[string]string {
	owners := map[string]string{}
	list, _ := pids(proc) // without them nobody owns anything
	for _, pid := range list {
		dir := filepath.Join(proc, strconv.Itoa(pid))
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
			owners[strings.TrimSuffix(inode, "]")] = fmt.Sprintf("%d/%s", pid, Printable(strings.TrimSpace(string(name))))
		}
	}
	return owners
}
