package coreutils

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"webjob.dev/webjob/internal/hostfs"
	"webjob.dev/webjob/internal/tools/hash"
	"webjob.dev/webjob/internal/tools/host"
	"webjob.dev/webjob/internal/tools/numbers"
	"webjob.dev/webjob/internal/tools/snapshot"
	"webjob.dev/webjob/internal/tools/streams"
)

// findNumbers prints the card and social security numbers in files below the paths, and
// ends with status 1 when there are none.
func findNumbers(c *call) error {
	kinds := c.values("k")
	if len(kinds) == 0 {
		kinds = []string{string(numbers.Card)}
	}
	context, err := c.number("C", 20)
	if err != nil {
		return err
	}
	most, err := c.number("m", 100)
	if err != nil {
		return err
	}
	var wanted []numbers.Kind
	for kind := range strings.SplitSeq(strings.Join(kinds, ","), ",") {
		if k := numbers.Kind(kind); k != numbers.Card && k != numbers.SocialSecurity {
			return usageError{fmt.Errorf("kind %.40q is unknown; use card or ssn", kind)}
		}
		wanted = append(wanted, numbers.Kind(kind))
	}
	found := false
	err = c.regularFiles(c.args, func(name string, f *os.File) error {
		hits := int64(0)
		err := numbers.Search(streams.Reader(c.ctx, f), wanted, int(min(context, numbers.MaxContext)), func(h numbers.Hit) error {
			found = true
			if hits++; hits > most {
				_, err := fmt.Fprintf(c.out, "%s: more than %d numbers\n", host.Printable(name), most)
				return errors.Join(err, errEnough)
			}
			_, err := fmt.Fprintf(c.out, "%s:%d: %s %s: %s\n", host.Printable(name), h.Offset, h.Kind, h.Masked(), h.Context)
			return err
		})
		if errors.Is(err, errEnough) {
			return nil
		}
		return err
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

// number returns the value of an option that is a number, or a standard.
func (c *call) number(name string, standard int64) (int64, error) {
	text, given := c.value(name)
	if !given {
		return standard, nil
	}
	n, err := strconv.ParseUint(text, 10, 62)
	if err != nil {
		return 0, usageError{fmt.Errorf("%s %.40q is not a number", name, text)}
	}
	return int64(n), nil
}

// findKnown prints the files below the paths whose digest is in a set, and ends with
// status 1 when there are none.
func findKnown(c *call) error {
	most, err := c.number("max-size", 1<<40)
	if err != nil {
		return err
	}
	known, err := hash.OpenKnown(c.path(c.args[0]))
	if err != nil {
		return c.unless(false, err)
	}
	defer func() { _ = known.Close() }() // only read
	algorithm, err := known.Algorithm()
	if err != nil {
		return c.unless(false, err)
	}
	set, err := hash.New(algorithm)
	if err != nil {
		return c.unless(false, err)
	}
	found := false
	err = c.regularFiles(c.args[1:], func(name string, f *os.File) error {
		info, err := f.Stat()
		if err != nil || info.Size() > most {
			return err
		}
		digests, _, err := set.Sum(io.LimitReader(streams.Reader(c.ctx, f), info.Size()))
		if err != nil {
			return err
		}
		remark, is, err := known.Find(digests[0])
		if err != nil || !is {
			return err
		}
		found = true
		if remark != "" {
			remark = "  # " + host.Printable(remark)
		}
		_, err = fmt.Fprintf(c.out, "%s  %s%s\n", digests[0], host.Printable(name), remark)
		return err
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
			var unreadable streams.ReadError
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
	var roots, excluded []string
	for _, root := range c.args {
		roots = append(roots, c.path(root))
	}
	for _, path := range c.values("x") {
		excluded = append(excluded, filepath.Clean(c.path(path)))
	}
	return snapshot.Map(c.out, roots, func(path string) bool {
		return c.ctx.Err() != nil || slices.Contains(excluded, path) || !slices.Contains(roots, path) && hostfs.IsPseudo(path)
	}, c.complain)
}

// compareSnapshots prints what differs between two snapshots, as FTimes does, and ends
// with status 1 when anything does.
func compareSnapshots(c *call) error {
	fields, given := c.value("f")
	if !given {
		fields = "mode,uid,gid,size,sha256"
	}
	var read [2]*snapshot.Snapshot
	for i, name := range c.args {
		f, err := os.Open(c.path(name))
		if err != nil {
			return usageError{err}
		}
		read[i], err = snapshot.Read(streams.Reader(c.ctx, f))
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return usageError{fmt.Errorf("%s: %w", name, err)}
		}
	}
	list, err := snapshot.Compare(read[0], read[1], strings.Split(fields, ","))
	if err != nil {
		return usageError{err}
	}
	if err := snapshot.WriteDifferences(c.out, list); err != nil || len(list) == 0 {
		return err
	}
	return exit(1)
}
