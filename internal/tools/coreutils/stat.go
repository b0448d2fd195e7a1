package coreutils

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"webjob.dev/webjob/internal/hostfs"
	"webjob.dev/webjob/internal/tools/host"
)

// stat prints what the system knows of files; -c takes a format.
func stat(c *call) error {
	format, given := c.value("c")
	if !given {
		format = "%A %h %U %G %s %y %n"
	}
	if _, err := statText(format, "", fileZero{}); err != nil {
		return usageError{err}
	}
	look := os.Lstat
	if c.has("L") {
		look = os.Stat
	}
	for _, name := range c.args {
		info, err := look(c.path(name))
		if err != nil {
			c.complain(err)
			continue
		}
		text, err := statText(format, name, info)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(c.out, text); err != nil {
			return err
		}
	}
	return nil
}

// fileZero is a file to try a format with.
type fileZero struct{}

func (fileZero) Name() string       { return "" }
func (fileZero) Size() int64        { return 0 }
func (fileZero) Mode() fs.FileMode  { return 0 }
func (fileZero) ModTime() time.Time { return time.Time{} }
func (fileZero) IsDir() bool        { return false }
func (fileZero) Sys() any           { return nil }

func statText(format, name string, info fs.FileInfo) (string, error) {
	s := host.StatusOf(info)
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		if i++; i == len(format) {
			b.WriteByte('%')
			break
		}
		text, known := statConversion(format[i], s, name, info)
		if !known {
			return "", fmt.Errorf("%%%c is not known here", format[i])
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

func statConversion(letter byte, s host.Status, name string, info fs.FileInfo) (text string, known bool) {
	full := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000000000 -0700") }
	seconds := func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	switch letter {
	case '%':
		return "%", true
	case 'n':
		return name, true
	case 's':
		return strconv.FormatInt(info.Size(), 10), true
	case 'a':
		return strconv.FormatUint(hostfs.Permissions(info.Mode()), 8), true
	case 'A':
		return host.ModeText(info.Mode()), true
	case 'F':
		return fileKind(info), true
	case 'u':
		return number(uint64(s.UID)), true
	case 'g':
		return number(uint64(s.GID)), true
	case 'U':
		return s.User, true
	case 'G':
		return s.Group, true
	case 'h':
		return number(s.Links), true
	case 'i':
		return number(s.Inode), true
	case 'x':
		return full(s.Accessed), true
	case 'y':
		return full(info.ModTime()), true
	case 'z':
		return full(s.Changed), true
	case 'X':
		return seconds(s.Accessed), true
	case 'Y':
		return seconds(info.ModTime()), true
	case 'Z':
		return seconds(s.Changed), true
	}
	return "", false
}

// fileKind is the kind of a file in words, as GNU's stat says it.
func fileKind(info fs.FileInfo) string {
	m := info.Mode()
	switch {
	case m.IsRegular() && info.Size() == 0:
		return "regular empty file"
	case m.IsRegular():
		return "regular file"
	case m.IsDir():
		return "directory"
	case m&fs.ModeSymlink != 0:
		return "symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "fifo"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeCharDevice != 0:
		return "character special file"
	case m&fs.ModeDevice != 0:
		return "block special file"
	}
	return "weird file"
}
