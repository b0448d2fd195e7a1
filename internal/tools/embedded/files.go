package embedded

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"webjob.dev/webjob/internal/hostfs"
	"webjob.dev/webjob/internal/tools/sums"
)

// below returns all files below the given ones; what cannot be read is reported.
func (c *call) below(roots []string) ([]string, error) {
	if len(roots) == 0 {
		roots = []string{"."}
	}
	var files []string
	for _, root := range roots {
		err := c.walk(root, func(name string, entry fs.DirEntry, _ int) error {
			if entry.Type().IsRegular() {
				files = append(files, name)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// walk visits a file or folder and what is below it, by the names that the script
// uses. It follows no links.
func (c *call) walk(root string, visit func(name string, entry fs.DirEntry, depth int) error) error {
	full := c.path(root)
	return filepath.WalkDir(full, func(path string, entry fs.DirEntry, err error) error {
		if c.ctx.Err() != nil {
			return c.ctx.Err()
		}
		if err != nil {
			c.complain(err)
			if entry == nil || !entry.IsDir() {
				return nil
			}
			if path != full {
				return nil // it was visited before it could not be read
			}
			return fs.SkipDir
		}
		relative, depth := strings.TrimPrefix(strings.TrimPrefix(path, full), string(os.PathSeparator)), 0
		name := root
		if relative != "" {
			depth = strings.Count(relative, string(os.PathSeparator)) + 1
			name = strings.TrimSuffix(root, "/") + "/" + filepath.ToSlash(relative)
		}
		return visit(name, entry, depth)
	})
}

// ls lists files and folders.
func ls(c *call) error {
	var long, all, one, recursive, byTime, bySize, reverse, self bool
	err := c.parse(func(f *pflag.FlagSet) {
		f.BoolVarP(&long, "long", "l", false, "")
		f.BoolVarP(&all, "all", "a", false, "")
		f.BoolVarP(&one, "one", "1", false, "")
		f.BoolVarP(&recursive, "recursive", "R", false, "")
		f.BoolVarP(&byTime, "time", "t", false, "")
		f.BoolVarP(&bySize, "size", "S", false, "")
		f.BoolVarP(&reverse, "reverse", "r", false, "")
		f.BoolVarP(&self, "directory", "d", false, "")
	}, 0, -1)
	if err != nil {
		return err
	}
	type item struct {
		name, path string
		info       fs.FileInfo
	}
	order := func(items []item) {
		slices.SortStableFunc(items, func(a, b item) int {
			n := strings.Compare(a.name, b.name)
			switch {
			case byTime && !a.info.ModTime().Equal(b.info.ModTime()):
				n = b.info.ModTime().Compare(a.info.ModTime())
			case bySize && a.info.Size() != b.info.Size():
				n = int(max(-1, min(1, b.info.Size()-a.info.Size())))
			}
			if reverse {
				return -n
			}
			return n
		})
	}
	names := c.args
	if len(names) == 0 {
		names = []string{"."}
	}
	return c.buffered(func(w *bufio.Writer) error {
		show := func(items []item) {
			order(items)
			for _, i := range items {
				line := i.name
				if long {
					line = longLine(i.path, i.name, i.info)
				}
				_, _ = fmt.Fprintln(w, line) // an error sticks
			}
		}
		var list func(name string, title bool) error
		list = func(name string, title bool) error {
			entries, err := os.ReadDir(c.path(name))
			if err != nil {
				c.complain(err)
			}
			if title {
				_, _ = fmt.Fprintf(w, "\n%s:\n", name)
			}
			var items []item
			for _, e := range entries {
				if info, err := e.Info(); err == nil && (all || !strings.HasPrefix(e.Name(), ".")) {
					items = append(items, item{e.Name(), filepath.Join(c.path(name), e.Name()), info})
				}
			}
			show(items)
			for _, i := range items {
				if recursive && i.info.IsDir() && c.ctx.Err() == nil {
					if err := list(name+"/"+i.name, true); err != nil {
						return err
					}
				}
			}
			return c.ctx.Err()
		}
		var files []item
		var folders []string
		absent := false
		for _, name := range names {
			info, err := os.Lstat(c.path(name))
			switch {
			case err != nil:
				c.complain(err)
				absent = true
			case info.IsDir() && !self:
				folders = append(folders, name)
			default:
				files = append(files, item{name, c.path(name), info})
			}
		}
		show(files)
		for _, name := range folders {
			if err := list(name, recursive || len(names) > 1); err != nil {
				return err
			}
		}
		if absent {
			return exit(2)
		}
		return nil
	})
}

// longLine is a line of ls -l, with the time to the second, in UTC.
func longLine(path, name string, info fs.FileInfo) string {
	s := statOf(info)
	line := fmt.Sprintf("%s %d %s %s %d %s %s", modeText(info.Mode()), s.links, s.user, s.group, info.Size(), info.ModTime().UTC().Format("2006-01-02 15:04:05"), name)
	if info.Mode()&fs.ModeSymlink != 0 {
		if target, err := os.Readlink(path); err == nil {
			line += " -> " + target
		}
	}
	return line
}

// modeText is the mode as ls writes it.
func modeText(m fs.FileMode) string {
	kind := "-"
	for flag, letter := range map[fs.FileMode]string{fs.ModeDir: "d", fs.ModeSymlink: "l", fs.ModeNamedPipe: "p", fs.ModeSocket: "s"} {
		if m&flag != 0 {
			kind = letter
		}
	}
	switch {
	case m&fs.ModeCharDevice != 0:
		kind = "c"
	case m&fs.ModeDevice != 0:
		kind = "b"
	}
	text := []byte(kind + m.Perm().String()[1:])
	for i, flag := range map[int]fs.FileMode{3: fs.ModeSetuid, 6: fs.ModeSetgid, 9: fs.ModeSticky} {
		if m&flag == 0 {
			continue
		}
		letter := byte('s')
		if i == 9 {
			letter = 't'
		}
		if text[i] != 'x' {
			letter -= 'a' - 'A'
		}
		text[i] = letter
	}
	return string(text)
}

// status is what the system says of a file beside fs.FileInfo.
type status struct {
	user, group      string
	uid, gid         uint32
	links, inode     uint64
	accessed, change time.Time
}

// stat prints what the system knows of files; -c takes a format.
func stat(c *call) error {
	var format string
	var follow bool
	err := c.parse(func(f *pflag.FlagSet) {
		f.StringVarP(&format, "format", "c", "%A %h %U %G %s %y %n", "")
		f.BoolVarP(&follow, "dereference", "L", false, "")
	}, 1, -1)
	if err != nil {
		return err
	}
	for _, name := range c.args {
		look := os.Lstat
		if follow {
			look = os.Stat
		}
		info, err := look(c.path(name))
		if err != nil {
			c.complain(err)
			continue
		}
		if _, err := fmt.Fprintln(c.out, statText(format, name, info)); err != nil {
			return err
		}
	}
	return nil
}

func statText(format, name string, info fs.FileInfo) string {
	const full = "2006-01-02 15:04:05.000000000 -0700"
	s := statOf(info)
	return strings.NewReplacer(
		"%%", "%", "%n", name, "%s", strconv.FormatInt(info.Size(), 10), "%a", strconv.FormatUint(hostfs.Permissions(info.Mode()), 8), "%A", modeText(info.Mode()),
		"%u", fmt.Sprint(s.uid), "%g", fmt.Sprint(s.gid), "%U", s.user, "%G", s.group, "%h", fmt.Sprint(s.links), "%i", fmt.Sprint(s.inode),
		"%x", s.accessed.UTC().Format(full), "%y", info.ModTime().UTC().Format(full), "%z", s.change.UTC().Format(full),
		"%X", fmt.Sprint(s.accessed.Unix()), "%Y", fmt.Sprint(info.ModTime().Unix()), "%Z", fmt.Sprint(s.change.Unix()),
	).Replace(format)
}

// ln makes links.
func ln(c *call) error {
	var symbolic, force bool
	err := c.parse(func(f *pflag.FlagSet) {
		f.BoolVarP(&symbolic, "symbolic", "s", false, "")
		f.BoolVarP(&force, "force", "f", false, "")
	}, 2, 2)
	if err != nil {
		return err
	}
	target, name := c.args[0], c.path(c.args[1])
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		name = filepath.Join(name, filepath.Base(target))
	}
	if force {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if symbolic {
		return os.Symlink(target, name)
	}
	return os.Link(c.path(target), name)
}

// readlink prints where links lead; -f the whole path.
func readlink(c *call) error {
	var full bool
	if err := c.parse(func(f *pflag.FlagSet) { f.BoolVarP(&full, "canonicalize", "f", false, "") }, 1, -1); err != nil {
		return err
	}
	for _, name := range c.args {
		target, err := os.Readlink(c.path(name))
		if full {
			target, err = filepath.EvalSymlinks(c.path(name))
		}
		if err != nil {
			return exit(1) // as everywhere, without a word
		}
		if _, err := fmt.Fprintln(c.out, target); err != nil {
			return err
		}
	}
	return nil
}

// sum prints digests of files, or checks a list of them.
func sum(algorithm string) tool {
	return func(c *call) error {
		var check, quiet bool
		err := c.parse(func(f *pflag.FlagSet) {
			f.BoolVarP(&check, "check", "c", false, "")
			f.BoolVar(&quiet, "quiet", false, "")
		}, 0, -1)
		if err != nil {
			return err
		}
		set, err := sums.New(algorithm)
		if err != nil {
			return err
		}
		if !check {
			return c.inputs(c.args, func(name string, r io.Reader) error {
				digests, _, err := set.Sum(r)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(c.out, sums.Format(algorithm, digests[0], name, false))
				return err
			})
		}
		return c.lines(c.args, func(_, text string) error {
			line, err := sums.ParseLine(text)
			if err != nil {
				return err
			}
			verdict := "OK"
			digests, _, err := set.SumFile(c.path(line.Name))
			switch {
			case err != nil:
				c.complain(err)
				verdict = "FAILED open or read"
			case digests[0] != line.Digest:
				c.failed, verdict = true, "FAILED"
			}
			if quiet && verdict == "OK" {
				return nil
			}
			_, err = fmt.Fprintf(c.out, "%s: %s\n", line.Name, verdict)
			return err
		})
	}
}
