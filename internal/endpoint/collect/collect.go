// Package collect gathers the files that a job names: what they are and, within limits,
// what they hold. It changes nothing on the machine, follows no links that a glob
// meets, opens nothing but regular files, and reads no file further than it was long
// when it was opened.
package collect

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/pkg/xattr"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/hostfs"
)

// Rules say what to gather.
type Rules struct {
	webjob.Collect
	Bytes   int64  // of all contents together, as stored
	Dir     string // where patterns begin that do not begin at the root
	Private string // folder that is left out, with all but Dir below it
}

// Gathered is what came of it.
type Gathered struct {
	webjob.Collected
	Files, Contents webjob.Stream // the two parts, as they were written
}

// Gather writes the list of the files to list and the contents to contents, which are
// empty. An error means that the two are of no use; what cannot be read is told in the
// list. When ctx ends first, what was gathered until then is good.
func Gather(ctx context.Context, rules Rules, list io.Writer, contents *os.File) (Gathered, error) {
	digester := webjob.NewDigester()
	buffered := bufio.NewWriterSize(io.MultiWriter(list, digester), 64<<10)
	c := &collector{
		Rules: rules, ctx: ctx, list: json.NewEncoder(buffered), names: newNames(),
		contents: newContents(ctx, contents, rules.Bytes), seen: map[string]struct{}{}, taken: map[identity]taken{},
	}
	c.list.SetEscapeHTML(false)
	c.Dir, c.Private = real(rules.Dir), real(rules.Private)
	for _, pattern := range rules.Files {
		err := c.gather(pattern)
		if errors.Is(err, errEnough) {
			break
		}
		if err != nil {
			return Gathered{}, err
		}
	}
	if err := buffered.Flush(); err != nil {
		return Gathered{}, webjob.Errorf(webjob.Unavailable, "list of collected files: %w", err)
	}
	if c.count.Incomplete == "" && ctx.Err() != nil {
		c.count.Incomplete = "the time for collecting was over"
	}
	return Gathered{
		Collected: c.count,
		Files:     webjob.Stream{Name: webjob.Files, Digest: digester.Digest(), Size: digester.Size(), Written: digester.Size()},
		Contents:  c.contents.stream(),
	}, nil
}

// collector is one gathering under way.
type collector struct {
	Rules
	ctx      context.Context
	list     *json.Encoder
	contents *contents
	names    names
	seen     map[string]struct{} // lines of the list
	matched  bool                // the pattern at hand
	taken    map[identity]taken
	count    webjob.Collected
}

// identity is a file under all its names, of which there are several.
type identity struct{ device, inode uint64 }

// taken is a content that was taken, and of what state of its file.
type taken struct {
	place
	size     int64
	modified time.Time
	digest   webjob.Digest
	altered  bool
}

// errEnough ends a walk: the number of files or the time is used up.
var errEnough = errors.New("enough")

func (c *collector) gather(pattern string) error {
	clean := strings.TrimPrefix(filepath.ToSlash(filepath.Clean(filepath.FromSlash(pattern))), "./")
	if !doublestar.ValidatePattern(clean) || strings.HasPrefix(clean, "../") || clean == ".." {
		return c.add(pattern, &webjob.CollectedFile{Path: pattern, Type: webjob.NoFile, Error: "the pattern is malformed"})
	}
	if !filepath.IsAbs(filepath.FromSlash(clean)) {
		clean = path.Join(escape(filepath.ToSlash(c.Dir)), clean)
	}
	if path.Clean(clean) == "/" || strings.HasSuffix(clean, ":/") {
		return c.add(pattern, &webjob.CollectedFile{Path: pattern, Type: webjob.NoFile, Error: "the pattern names the root; write " + clean + "** for all below it"})
	}
	base, rest := doublestar.SplitPattern(clean)
	before := len(c.seen)
	t := &tree{collector: c, base: filepath.FromSlash(base)}
	t.real = real(t.base)
	t.inPseudo = hostfs.IsPseudo(t.base)
	literal := !strings.ContainsAny(rest, `*?[{`)
	c.matched = false
	err := doublestar.GlobWalk(t, rest, func(name string, _ fs.DirEntry) error {
		full := filepath.Join(t.base, filepath.FromSlash(name))
		if err := c.visit(full, filepath.Join(t.real, filepath.FromSlash(name))); err != nil || !literal {
			return err
		}
		if info, err := os.Lstat(full); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			if target, err := filepath.EvalSymlinks(full); err == nil {
				return c.visit(target, target)
			}
		}
		return nil
	}, doublestar.WithNoFollow())
	if c.ctx.Err() != nil {
		return errEnough
	}
	if err == nil && len(c.seen) == before && !c.matched {
		err = c.add(clean, &webjob.CollectedFile{Path: clean, Type: webjob.NoFile, Skipped: noMatch})
	}
	return err
}

// real returns a path without links, the path itself when there is nothing.
func real(path string) string {
	if resolved, err := filepath.EvalSymlinks(path); err == nil && path != "" {
		return resolved
	}
	return path
}

// escape takes the meaning of a glob away from a path.
func escape(path string) string {
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `{`, `\{`).Replace(path)
}

// excluded reports whether the author left the path out.
func (c *collector) excluded(full string) bool {
	for _, pattern := range c.Exclude {
		if matched, err := doublestar.Match(pattern, filepath.ToSlash(full)); err == nil && matched {
			return true
		}
	}
	return false
}

// visit adds one file that a pattern matches; real is its path without links.
func (c *collector) visit(full, real string) error {
	if c.ctx.Err() != nil {
		return errEnough
	}
	c.matched = true
	if _, twice := c.seen[full]; twice || c.excluded(full) {
		return nil
	}
	info, err := os.Lstat(full)
	if err != nil {
		return c.remark(full, webjob.CollectedFile{Error: problem(err)})
	}
	f := c.describe(full, info)
	if c.isPrivate(real) {
		f.Skipped = privateRule
		return c.add(full, f)
	}
	if f.Type == webjob.RegularFile {
		c.take(full, info, f)
	}
	return c.add(full, f)
}

// Why there is no content.
const (
	noMatch     = "nothing matches"
	privateRule = "it holds webjob's own keys"
	pseudoRule  = "files of the kernel; name them in a pattern of their own"
)

// isPrivate reports whether a path without links lies in the private folder, and neither
// in the job's own nor on the way there.
func (c *collector) isPrivate(real string) bool {
	return c.Private != "" && inside(real, c.Private) && !inside(real, c.Dir) && !inside(c.Dir, real)
}

func inside(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, string(filepath.Separator))+string(filepath.Separator))
}

// describe tells what is at a path, without opening it.
func (c *collector) describe(full string, info fs.FileInfo) *webjob.CollectedFile {
	f := &webjob.CollectedFile{Type: typeOf(info.Mode()), Mode: octal(info.Mode())}
	f.Path = filepath.ToSlash(full)
	if !utf8.ValidString(full) {
		f.RawPath, f.Path = []byte(full), strings.ToValidUTF8(f.Path, "\uFFFD")
	}
	if f.Type == webjob.RegularFile {
		f.Size = info.Size()
	}
	setTimes(f, full, info)
	f.Unix = c.names.facts(info)
	if f.Type == webjob.Link {
		target, err := os.Readlink(full)
		if f.Target = strings.ToValidUTF8(target, "\uFFFD"); err != nil {
			f.Error = problem(err)
		}
	}
	c.attributes(full, f)
	return f
}

// maxAttributes bounds the extended attributes of one file, in bytes.
const maxAttributes = 256 << 10

func (c *collector) attributes(full string, f *webjob.CollectedFile) {
	list, err := xattr.LList(full)
	if err != nil || len(list) == 0 {
		return // a file system without them is no error
	}
	f.Attributes = map[string][]byte{}
	total := 0
	for _, name := range list {
		value, err := xattr.LGet(full, name)
		if total += len(name) + len(value); total > maxAttributes {
			f.Error = "it has more extended attributes than are kept"
			return
		}
		if err == nil {
			f.Attributes[strings.ToValidUTF8(name, "\uFFFD")] = value
		}
	}
}

// take stores the content of a regular file when the rules allow it.
func (c *collector) take(full string, info fs.FileInfo, f *webjob.CollectedFile) {
	var id identity
	if f.Unix != nil && f.Unix.Links > 1 {
		id = identity{f.Unix.Device, f.Unix.Inode}
		if other, found := c.taken[id]; found && other.size == f.Size && other.modified.Equal(f.Modified) {
			f.Digest, f.Altered = other.digest, other.altered
			other.fill(f)
			return
		}
	}
	if c.MaxBytes == 0 {
		f.Skipped = "only lists are wanted"
		return
	}
	skipped, err := c.contents.add(full, info, f, c.MinBytes, c.MaxBytes)
	f.Skipped = skipped
	if err != nil {
		f.Error = problem(err)
	}
	if f.HasContent() && id != (identity{}) {
		c.taken[id] = taken{placeOf(f), f.Size, f.Modified, f.Digest, f.Altered}
	}
}

// remark adds a line on a path that could not be looked at or was not entered, which
// may have a line of its own as well.
func (c *collector) remark(full string, f webjob.CollectedFile) error {
	f.Path, f.Type = strings.ToValidUTF8(filepath.ToSlash(full), "\uFFFD"), webjob.NoFile
	return c.add("remark on "+full, &f)
}

// add writes a line of the list, once for each key.
func (c *collector) add(key string, f *webjob.CollectedFile) error {
	if _, twice := c.seen[key]; twice {
		return nil
	}
	if c.count.Entries >= c.MaxFiles {
		c.count.Incomplete = "more files match than max_files allows"
		return errEnough
	}
	c.seen[key] = struct{}{}
	c.count.Entries++
	if f.HasContent() {
		c.count.Contents++
		c.count.Bytes += f.Size
	}
	for _, counted := range []struct {
		count *int64
		is    bool
	}{{&c.count.Skipped, f.Skipped != "" && f.Skipped != noMatch}, {&c.count.Unreadable, f.Error != ""}, {&c.count.Altered, f.Altered}} {
		if counted.is {
			*counted.count++
		}
	}
	if err := c.list.Encode(f); err != nil {
		return webjob.Errorf(webjob.Unavailable, "list of collected files: %w", err)
	}
	return nil
}

// problem is the reason of an error without the path, which the line has already.
func problem(err error) string {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		err = pathError.Err
	}
	return err.Error()
}

func typeOf(mode fs.FileMode) webjob.FileType {
	switch mode & fs.ModeType {
	case 0:
		return webjob.RegularFile
	case fs.ModeDir:
		return webjob.Folder
	case fs.ModeSymlink:
		return webjob.Link
	case fs.ModeNamedPipe:
		return webjob.FIFO
	case fs.ModeSocket:
		return webjob.Socket
	case fs.ModeDevice, fs.ModeDevice | fs.ModeCharDevice:
		return webjob.Device
	}
	return webjob.OtherType
}
