package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Formats of /proc: proc(5).

// Processes returns all processes that the folder, which is [Proc], shows.
func Processes(proc string) ([]Process, error) {
	list, err := pids(proc)
	if err != nil {
		return nil, err
	}
	boot := bootTime(proc)
	var found []Process
	for _, pid := range list {
		if p, err := readProcess(proc, pid, boot); err == nil { // else it ended meanwhile
			found = append(found, p)
		}
	}
	return found, nil
}

func pids(proc string) ([]int, error) {
	entries, err := os.ReadDir(proc)
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
		return nil, fmt.Errorf("%s holds no processes; it is not mounted", proc)
	}
	slices.Sort(list)
	return list, nil
}

func bootTime(proc string) time.Time {
	text, _ := os.ReadFile(filepath.Join(proc, "stat")) // without it times are from 1970 on
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "btime "); ok {
			seconds, _ := strconv.ParseInt(strings.TrimSpace(rest), 10, 64) // as above
			return time.Unix(seconds, 0)
		}
	}
	return time.Unix(0, 0)
}

func readProcess(proc string, pid int, boot time.Time) (Process, error) {
	dir := filepath.Join(proc, strconv.Itoa(pid))
	text, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return Process{}, err
	}
	p, err := parseStat(string(text), boot)
	if err != nil {
		return Process{}, err
	}
	p.PID = pid
	if info, err := os.Stat(dir); err == nil {
		p.User = StatusOf(info).User
	}
	if line, err := os.ReadFile(filepath.Join(dir, "cmdline")); err == nil && len(line) > 0 {
		p.Command = Printable(strings.TrimRight(strings.ReplaceAll(string(line), "\x00", " "), " "))
	}
	return p, nil
}

const ticksASecond = 100 // USER_HZ, the same on every Linux that Go runs on

// parseStat reads what /proc/PID/stat says. The name in it is the process's own choice
// and may hold anything, also spaces and brackets.
func parseStat(text string, boot time.Time) (Process, error) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return Process{}, errors.New("stat is not readable")
	}
	fields := strings.Fields(text[end+1:])
	if len(fields) < 22 {
		return Process{}, errors.New("stat is too short")
	}
	p := Process{State: Printable(fields[0]), User: "?", Command: "[" + Printable(text[open+1:end]) + "]"}
	p.Parent, _ = strconv.Atoi(fields[1]) // the kernel writes numbers
	started, _ := strconv.ParseInt(fields[19], 10, 64)
	p.Started = boot.Add(time.Duration(started) * (time.Second / ticksASecond))
	pages, _ := strconv.ParseInt(fields[21], 10, 64)
	p.Resident = pages * int64(os.Getpagesize()) >> 10
	return p, nil
}
