package collect

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/hostfs"
)

// tree shows a folder to the library that expands globs. What it must not enter is not
// there, and what cannot be read is told in the list.
type tree struct {
	*collector
	base     string
	real     string // the base without links
	inPseudo bool   // the author named a folder of the kernel's own
}

var _ interface {
	fs.ReadDirFS
	fs.StatFS
} = (*tree)(nil)

func (t *tree) path(name string) string { return filepath.Join(t.base, filepath.FromSlash(name)) }

// Open implements [fs.FS].
func (t *tree) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: errors.ErrUnsupported} // globs need names alone
}

// Stat implements [fs.StatFS]. Only what comes before the first glob may be a link.
func (t *tree) Stat(name string) (fs.FileInfo, error) {
	if name == "." {
		return os.Stat(t.base)
	}
	return os.Lstat(t.path(name))
}

// ReadDir implements [fs.ReadDirFS].
func (t *tree) ReadDir(name string) ([]fs.DirEntry, error) {
	if t.ctx.Err() != nil {
		return nil, nil
	}
	full := t.path(name)
	if !t.inPseudo && hostfs.IsPseudo(full) {
		return nil, t.remark(full, webjob.CollectedFile{Skipped: pseudoRule})
	}
	if t.isPrivate(filepath.Join(t.real, filepath.FromSlash(name))) {
		return nil, t.remark(full, webjob.CollectedFile{Skipped: privateRule})
	}
	dir, err := hostfs.Open(full)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, t.remark(full, webjob.CollectedFile{Error: problem(err)})
	}
	defer func() { _ = dir.Close() }() // only read
	// One more than are looked at shows that there are more.
	entries, err := dir.ReadDir(maxFolder + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return entries, t.remark(full, webjob.CollectedFile{Error: problem(err)})
	}
	if len(entries) > maxFolder {
		t.count.Incomplete = "folder " + strings.ToValidUTF8(full, "?") + " holds more names than are looked at"
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return t.excluded(filepath.Join(full, e.Name())) })
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// maxFolder bounds the names of one folder that are held at once.
const maxFolder = 1_000_000
