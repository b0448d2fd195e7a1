package coreutils

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"webjob.dev/webjob/internal/tools/host"
)

// ls lists files and folders, one a line.
func ls(c *call) error {
	names := c.args
	if len(names) == 0 {
		names = []string{"."}
	}
	l := &listing{call: c, titles: len(names) > 1 || c.has("R")}
	var files []listed
	var folders []listed
	absent := false
	for _, name := range names {
		info, err := os.Lstat(c.path(name))
		if err == nil && info.Mode()&fs.ModeSymlink != 0 && !c.has("l") && !c.has("d") { // one that is named is followed
			if target, err := os.Stat(c.path(name)); err == nil && target.IsDir() {
				info = target
			}
		}
		switch {
		case err != nil:
			c.complain(err)
			absent = true
		case info.IsDir() && !c.has("d"):
			folders = append(folders, listed{name, c.path(name), info})
		default:
			files = append(files, listed{name, c.path(name), info})
		}
	}
	l.show(files)
	l.order(folders)
	for _, f := range folders {
		if err := l.folder(f.name); err != nil {
			return err
		}
	}
	if absent {
		return exit(2)
	}
	return nil
}

// listed is a line of ls.
type listed struct {
	name, path string
	info       fs.FileInfo
}

type listing struct {
	*call
	titles  bool
	started bool // something was printed
}

// folder lists what is in a folder, and with -R what is below it.
func (l *listing) folder(name string) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	entries, err := os.ReadDir(l.path(name))
	if err != nil {
		l.complain(err)
	}
	if l.titles {
		if l.started {
			_, _ = fmt.Fprintln(l.out) // an error sticks, as below
		}
		_, _ = fmt.Fprintf(l.out, "%s:\n", name)
		l.started = true
	}
	var items []listed
	add := func(entry string, info fs.FileInfo, err error) {
		if err == nil { // else it went away meanwhile
			items = append(items, listed{entry, filepath.Join(l.path(name), entry), info})
		}
	}
	if l.has("a") {
		for _, self := range []string{".", ".."} {
			info, err := os.Stat(filepath.Join(l.path(name), self))
			add(self, info, err)
		}
	}
	for _, e := range entries {
		if l.has("a") || !strings.HasPrefix(e.Name(), ".") {
			info, err := e.Info()
			add(e.Name(), info, err)
		}
	}
	l.show(items)
	if !l.has("R") {
		return nil
	}
	for _, i := range items {
		if i.info.IsDir() && i.name != "." && i.name != ".." {
			if err := l.folder(strings.TrimSuffix(name, "/") + "/" + i.name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *listing) show(items []listed) {
	l.order(items)
	for _, i := range items {
		line := i.name
		if l.has("l") {
			line = longLine(i.path, i.name, i.info)
		}
		_, _ = fmt.Fprintln(l.out, line) // an error sticks
		l.started = true
	}
}

func (l *listing) order(items []listed) {
	byTime, bySize, reverse := l.has("t"), l.has("S"), l.has("r")
	slices.SortStableFunc(items, func(a, b listed) int {
		n := strings.Compare(a.name, b.name)
		switch {
		case byTime && !a.info.ModTime().Equal(b.info.ModTime()):
			n = b.info.ModTime().Compare(a.info.ModTime())
		case bySize && !byTime && a.info.Size() != b.info.Size():
			n = 1
			if a.info.Size() > b.info.Size() {
				n = -1
			}
		}
		if reverse {
			return -n
		}
		return n
	})
}

// longLine is a line of ls -l, with the time to the second, in UTC.
func longLine(path, name string, info fs.FileInfo) string {
	s := host.StatusOf(info)
	line := fmt.Sprintf("%s %d %s %s %d %s %s", host.ModeText(info.Mode()), s.Links, s.User, s.Group, info.Size(), info.ModTime().UTC().Format("2006-01-02 15:04:05"), name)
	if info.Mode()&fs.ModeSymlink != 0 {
		if target, err := os.Readlink(path); err == nil {
			line += " -> " + target
		}
	}
	return line
}
