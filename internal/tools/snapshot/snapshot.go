// Package snapshot records the attributes of files and compares two records, in the
// columns and encoding that FTimes writes (ftimes(1), "SNAPSHOT"): a header with the
// names of the fields, then a line for each file, fields separated by "|". It reads
// snapshots of FTimes and FTimes reads its own.
package snapshot

import (
	"bufio"
	"crypto/md5"  //nolint:gosec // a field of the format
	"crypto/sha1" //nolint:gosec // as above
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/djherbis/times"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/hostfs"
)

// Fields are those that are written, in FTimes' order; where the platform has no such
// attribute the value is empty.
func Fields() []string {
	return []string{"dev", "inode", "mode", "nlink", "uid", "gid", "atime", "mtime", "ctime", "size", "md5", "sha1", "sha256"}
}

// Special values of digest fields, as FTimes writes them.
const (
	folderDigest  = "DIRECTORY"
	specialDigest = "SPECIAL"
)

// Map writes a snapshot of all files below the roots, which are not followed if they are
// links. Problems with single files go to problem, and their line has what is known.
// skip leaves out a path and all below it.
func Map(w io.Writer, roots []string, skip func(path string) bool, problem func(error)) error {
	out := bufio.NewWriter(w)
	_, _ = out.WriteString("name|" + strings.Join(Fields(), "|") + "\n") // Flush tells
	for _, root := range roots {
		absolute, err := filepath.Abs(root)
		if err != nil {
			return err
		}
		if _, err := os.Lstat(absolute); err != nil {
			return webjob.Errorf(webjob.NotFound, "%w", err)
		}
		err = filepath.WalkDir(absolute, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				problem(err)
				return nil
			}
			if skip(path) {
				if entry.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			return line(out, path, problem)
		})
		if err != nil {
			return err
		}
	}
	return out.Flush()
}

func line(out *bufio.Writer, path string, problem func(error)) error {
	info, err := os.Lstat(path)
	if err != nil {
		problem(err)
		return nil
	}
	t := times.Get(info)
	values := map[string]string{
		"atime": stamp(t.AccessTime()), "mtime": stamp(info.ModTime()), "size": strconv.FormatInt(info.Size(), 10),
	}
	if t.HasChangeTime() {
		values["ctime"] = stamp(t.ChangeTime())
	}
	system(values, info)
	switch {
	case info.IsDir():
		values["md5"], values["sha1"], values["sha256"] = folderDigest, folderDigest, folderDigest
	case info.Mode()&fs.ModeSymlink != 0:
		if target, err := os.Readlink(path); err == nil {
			_ = digest(values, strings.NewReader(target)) // FTimes digests the name of the target; memory does not fail
		}
	case !info.Mode().IsRegular():
		values["md5"], values["sha1"], values["sha256"] = specialDigest, specialDigest, specialDigest
	default:
		if err := digestFile(values, path); err != nil {
			problem(err)
		}
	}
	_, _ = out.WriteString(quote(filepath.ToSlash(path)))
	for _, field := range Fields() {
		_, _ = out.WriteString("|" + values[field])
	}
	return out.WriteByte('\n')
}

func digestFile(values map[string]string, path string) error {
	f, err := hostfs.Open(path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() {
		err = digest(values, io.LimitReader(f, info.Size())) // no further than it was long
	}
	return errors.Join(err, f.Close())
}

func digest(values map[string]string, r io.Reader) error {
	hashes := map[string]hash.Hash{"md5": md5.New(), "sha1": sha1.New(), "sha256": sha256.New()} //nolint:gosec // see above
	if _, err := io.Copy(io.MultiWriter(hashes["md5"], hashes["sha1"], hashes["sha256"]), r); err != nil {
		return err
	}
	for name, h := range hashes {
		values[name] = hex.EncodeToString(h.Sum(nil))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.DateTime) }

// quote encodes a name as FTimes does: in double quotes, a space as "+", and what would
// break a line or a field, or is not printable ASCII, as "%" and two hexadecimal digits.
func quote(name string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(name) {
		switch {
		case c == ' ':
			b.WriteByte('+')
		case c <= ' ' || c >= 0x7f || strings.IndexByte(`"'`+"`"+`%+|`, c) >= 0:
			fmt.Fprintf(&b, "%%%02x", c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Snapshot is one that was read.
type Snapshot struct {
	Fields []string
	Files  map[string][]string // by name, as it is encoded: the values in the order of Fields
}

// maxLine bounds a line of a snapshot, in bytes.
const maxLine = 64 << 10

// Read reads a snapshot. Fields that this package does not write are kept, and compared
// like the others.
func Read(r io.Reader) (*Snapshot, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	if !lines.Scan() {
		return nil, webjob.Errorf(webjob.Invalid, "the snapshot is empty")
	}
	header := strings.Split(lines.Text(), "|")
	if header[0] != "name" || len(header) < 2 || slices.Contains(header[1:], "") {
		return nil, webjob.Errorf(webjob.Invalid, "%.80q is not the header of a snapshot; it begins with name| and fields", lines.Text())
	}
	s := &Snapshot{Fields: header[1:], Files: map[string][]string{}}
	for n := 2; lines.Scan(); n++ {
		values := strings.Split(lines.Text(), "|")
		if len(values) != len(header) || len(values[0]) < 2 || values[0][0] != '"' {
			return nil, webjob.Errorf(webjob.Invalid, "line %d of the snapshot has %d fields, or no name in quotes; its header has %d", n, len(values), len(header))
		}
		if _, twice := s.Files[values[0]]; twice {
			return nil, webjob.Errorf(webjob.Invalid, "line %d of the snapshot names %s again", n, values[0])
		}
		s.Files[values[0]] = values[1:]
	}
	if err := lines.Err(); err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "the snapshot is not readable: %w", err)
	}
	return s, nil
}

// Category is what became of a file, by FTimes' letters.
type Category string

// The categories.
const (
	Changed Category = "C"
	Missing Category = "M"
	New     Category = "N"
)

// Difference is a file that is not as it was.
type Difference struct {
	Category Category
	Name     string   // encoded
	Fields   []string // that changed
	Unknown  []string // that only one of the two knows
}

// Compare returns the differences in order of names. Only these fields count; an empty
// value on one side makes a field unknown.
func Compare(before, after *Snapshot, fields []string) ([]Difference, error) {
	for _, field := range fields {
		if !slices.Contains(before.Fields, field) || !slices.Contains(after.Fields, field) {
			return nil, webjob.Errorf(webjob.Invalid, "field %.40q is not in both snapshots; they have %s, and %s", field, strings.Join(before.Fields, ","), strings.Join(after.Fields, ","))
		}
	}
	var list []Difference
	for name, old := range before.Files {
		now, found := after.Files[name]
		if !found {
			list = append(list, Difference{Category: Missing, Name: name})
			continue
		}
		d := Difference{Category: Changed, Name: name}
		for _, field := range fields {
			a, b := old[slices.Index(before.Fields, field)], now[slices.Index(after.Fields, field)]
			switch {
			case a == b:
			case a == "" || b == "":
				d.Unknown = append(d.Unknown, field)
			default:
				d.Fields = append(d.Fields, field)
			}
		}
		if len(d.Fields)+len(d.Unknown) > 0 {
			list = append(list, d)
		}
	}
	for name := range after.Files {
		if _, found := before.Files[name]; !found {
			list = append(list, Difference{Category: New, Name: name})
		}
	}
	slices.SortFunc(list, func(a, b Difference) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// WriteDifferences writes them as FTimes does.
func WriteDifferences(w io.Writer, list []Difference) error {
	out := bufio.NewWriter(w)
	_, _ = out.WriteString("category|name|changed|unknown\n") // Flush tells
	for _, d := range list {
		fmt.Fprintf(out, "%s|%s|%s|%s\n", d.Category, d.Name, strings.Join(d.Fields, ","), strings.Join(d.Unknown, ","))
	}
	return out.Flush()
}
