package coreutils

import (
	"fmt"
	"strings"

	"webjob.dev/webjob/internal/tools/host"
)

// ps lists all processes. Options of other ps programs that ask for that are taken.
func ps(c *call) error {
	if len(c.args) == 1 && strings.Trim(c.args[0], "auxwef") != "" {
		return usageError{fmt.Errorf("%.40q is not known here; ps lists all processes", c.args[0])}
	}
	processes, err := host.Processes(host.Proc)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(c.out, "%7s %7s %-12s %s %9s %-19s %s\n", "PID", "PPID", "USER", "S", "RSS_KIB", "STARTED_UTC", "COMMAND") // an error sticks, as below
	for _, p := range processes {
		_, _ = fmt.Fprintf(c.out, "%7d %7d %-12s %s %9d %-19s %s\n", p.PID, p.Parent, p.User, p.State, p.Resident, p.Started.UTC().Format("2006-01-02 15:04:05"), p.Command)
	}
	return nil
}

// sockets lists the sockets of TCP and UDP with their processes, as netstat -anp does.
func sockets(c *call) error {
	list, err := host.Sockets(host.Proc)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(c.out, "%-5s %-45s %-45s %-12s %s\n", "PROTO", "LOCAL", "REMOTE", "STATE", "PID/PROGRAM") // an error sticks, as below
	for _, s := range list {
		_, _ = fmt.Fprintf(c.out, "%-5s %-45s %-45s %-12s %s\n", s.Protocol, s.Local, s.Remote, s.State, s.Owner)
	}
	return nil
}

// df lists the mounted file systems that have blocks.
func df(c *call) error {
	mounts, err := host.Mounts(host.Proc)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(c.out, "%-24s %-10s %14s %14s %14s %s\n", "DEVICE", "TYPE", "KIB", "USED", "FREE", "MOUNTED") // an error sticks, as below
	for _, m := range mounts {
		_, _ = fmt.Fprintf(c.out, "%-24s %-10s %14d %14d %14d %s\n", host.Printable(m.Device), m.Type, m.Size, m.Used, m.Free, host.Printable(m.Folder))
	}
	return nil
}
