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
	"strings"

	"github.com/spf13/pflag"

	"webjob.dev/webjob/internal/hostfs"
	"webjob.dev/webjob/internal/tools/numbers"
	"webjob.dev/webjob/internal/tools/snapshot"
	"webjob.dev/webjob/internal/tools/sums"
)

// findNumbers prints the card and social security numbers in files below the paths, and
// ends with status 1 when there are none.
func findNumbers(c *call) error {
	var kinds []string
	var context, most int
	err := c.parse(func(f *pflag.FlagSet) {
		f.StringSliceVarP(&kinds, "kind", "k", []string{string(numbers.Card)}, "")
		f.IntVarP(&context, "context", "C", 20, "")
		f.IntVarP(&most, "max-count", "m", 100, "")
	}, 1, -1)
	if err != nil {
		return err
	}
	var wanted []numbers.Kind
	for _, kind := range kinds {
		if k := numbers.Kind(kind); k != numbers.Card && k != numbers.SocialSecurity {
			return usage{fmt.Errorf("kind %.40q is unknown; use card or ssn", kind)}
		}
		wanted = append(wanted, numbers.Kind(kind))
	}
	found := false
	err = c.buffered(func(w *bufio.Writer) error {
		return c.regularFiles(c.args, func(name string, f *os.File) error {
			hits := 0
			err := numbers.Search(untilDone{c.ctx, f}, wanted, context, func(h numbers.Hit) error {
				found = true
				if hits++; hits > most {
					_, err := fmt.Fprintf(w, "%s: more than %d numbers\n", printable(name), most)
					return errors.Join(err, errEnough)
				}
				_, err := fmt.Fprintf(w, "%s:%d: %s %s: %s\n", printable(name), h.Offset, h.Kind, h.Masked(), h.Context)
				return err
			})
			if errors.Is(err, errEnough) {
				return nil
			}
			return err
		})
	})
	return c.unless(found, err)
}

// unless ends a search: status 0 when something was found, 1 when not, 2 when not all was
// looked at.
func (c *call) unless(found bool, err error) error {
	if err != nil && c.ctx.Err() == nil {
		c.complain(err)
	}
	switch {
	case c.failed:
		return exit(2)
	case err != nil || found:
		return err
	}
	return exit(1)
}

// errEnough ends the search of one file.
var errEnough = errors.New("enough")

// findKnown prints the files below the paths whose digest is in a set, and ends with
// status 1 when there are none.
func findKnown(c *call) error {
	var most int64
	if err := c.parse(func(f *pflag.FlagSet) { f.Int64Var(&most, "max-size", 1<<40, "") }, 2, -1); err != nil {
		return err
	}
	known, err := sums.OpenKnown(c.path(c.args[0]))
	if err != nil {
		return c.unless(false, err)
	}
	defer func() { _ = known.Close() }() // only read
	algorithm, err := known.Algorithm()
	if err != nil {
		return c.unless(false, err)
	}
	set, err := sums.New(algorithm)
	if err != nil {
		return c.unless(false, err)
	}
	found := false
	err = c.buffered(func(w *bufio.Writer) error {
		return c.regularFiles(c.args[1:], func(name string, f *os.File) error {
			info, err := f.Stat()
			if err != nil || info.Size() > most {
				return err
			}
			digests, _, err := set.Sum(io.LimitReader(untilDone{c.ctx, f}, info.Size()))
			if err != nil {
				return err
			}
			remark, is, err := known.Find(digests[0])
			if err != nil || !is {
				return err
			}
			found = true
			if remark != "" {
				remark = "  # " + printable(remark)
			}
			_, err = fmt.Fprintf(w, "%s  %s%s\n", digests[0], printable(name), remark)
			return err
		})
	})
	return c.unless(found, err)
}

// regularFiles calls use with every regular file below the paths. It stays out of file
// systems that the kernel makes up, and reports what cannot be read.
func (c *call) regularFiles(roots []string, use func(name string, f *os.File) error) error {
	for _, root := range roots {
		inside := hostfs.IsPseudo(c.path(root))
		err := c.walk(root, func(name string, entry fs.DirEntry, _ int) error {
			if entry.IsDir() && !inside && hostfs.IsPseudo(c.path(name)) {
				return fs.SkipDir
			}
			if !entry.Type().IsRegular() {
				return nil
			}
			f, err := hostfs.Open(c.path(name))
			if err != nil {
				c.complain(err)
				return nil
			}
			info, err := f.Stat()
			if err == nil && info.Mode().IsRegular() {
				err = use(name, f)
			}
			if closeErr := f.Close(); err == nil {
				err = closeErr
			}
			var unreadable readError
			if errors.As(err, &unreadable) && c.ctx.Err() == nil {
				c.complain(err)
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// takeSnapshot prints the attributes of all files below the paths, as FTimes does.
func takeSnapshot(c *call) error {
	var without []string
	if err := c.parse(func(f *pflag.FlagSet) { f.StringArrayVarP(&without, "exclude", "x", nil, "") }, 1, -1); err != nil {
		return err
	}
	var roots, excluded []string
	for _, root := range c.args {
		roots = append(roots, c.path(root))
	}
	for _, path := range without {
		excluded = append(excluded, filepath.Clean(c.path(path)))
	}
	return snapshot.Map(whileAlive{c.ctx, c.out}, roots, func(path string) bool {
		return c.ctx.Err() != nil || slices.Contains(excluded, path) || !slices.Contains(roots, path) && hostfs.IsPseudo(path)
	}, c.complain)
}

// compareSnapshots prints what differs between two snapshots, as FTimes does, and ends
// with status 1 when anything does.
func compareSnapshots(c *call) error {
	var fields string
	if err := c.parse(func(f *pflag.FlagSet) {
		f.StringVarP(&fields, "fields", "f", "mode,uid,gid,size,sha256", "")
	}, 2, 2); err != nil {
		return err
	}
	var read [2]*snapshot.Snapshot
	for i, name := range c.args {
		f, err := os.Open(c.path(name))
		if err != nil {
			return usage{err}
		}
		read[i], err = snapshot.Read(untilDone{c.ctx, f})
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return usage{fmt.Errorf("%s: %w", name, err)}
		}
	}
	list, err := snapshot.Compare(read[0], read[1], strings.Split(fields, ","))
	if err != nil {
		return usage{err}
	}
	if err := snapshot.WriteDifferences(c.out, list); err != nil || len(list) == 0 {
		return err
	}
	return exit(1)
}
