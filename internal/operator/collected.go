package operator

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"unicode/utf8"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/bundle"
)

// maxCollectedLine bounds a line of the list of collected files, in bytes.
const maxCollectedLine = 1 << 20

// Files calls visit for every file that a run collected, in the list's order,
// after the list was checked against the record.
func (r Results) Files(ctx context.Context, record *webjob.Record, visit func(*webjob.CollectedFile) error) error {
	list, found := record.Part(webjob.Files)
	contents, foundContents := record.Part(webjob.Contents)
	if !found || !foundContents {
		return webjob.Errorf(webjob.NotFound, "run %s collected no files; its job names none", record.Run)
	}
	f, err := os.CreateTemp("", "webjob-files-")
	if err != nil {
		return webjob.Errorf(webjob.Unavailable, "%w", err)
	}
	defer func() { _, _ = f.Close(), os.Remove(f.Name()) }() // only a copy
	if err := r.WritePart(ctx, record, list, f); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return webjob.Errorf(webjob.Unavailable, "%w", err)
	}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxCollectedLine)
	for lines.Scan() {
		var file webjob.CollectedFile
		if err := json.Unmarshal(lines.Bytes(), &file); err != nil {
			return webjob.Errorf(webjob.Invalid, "the list of files of run %s is not readable: %w", record.Run, err)
		}
		if err := file.Check(contents.Size); err != nil {
			return err
		}
		if err := visit(&file); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return webjob.Errorf(webjob.Invalid, "the list of files of run %s is not readable: %w", record.Run, err)
	}
	return nil
}

// WriteFile writes the content of a collected file to w and checks its digest.
// Holes are written as zeros, or left out where w is a file that can skip them.
func (r Results) WriteFile(ctx context.Context, record *webjob.Record, f *webjob.CollectedFile, w io.Writer) error {
	if !f.HasContent() {
		return webjob.Errorf(webjob.NotFound, "the content of %s was not taken: %s", f.Path, reasonWithout(f))
	}
	stored := io.Reader(strings.NewReader(""))
	if f.Stored > 0 {
		header := http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", f.Offset, f.Offset+f.Stored-1)}}
		response, err := r.session.Send(ctx, http.MethodGet, api.ResultPath(record.Run, "parts", webjob.Contents), header, nil, -1)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }() // read as far as it is wanted
		if response.StatusCode != http.StatusPartialContent {
			return webjob.Errorf(webjob.Refused, "the server answered %s to a request for a part", response.Status)
		}
		stored = io.LimitReader(response.Body, f.Stored)
	}
	digester := webjob.NewDigester()
	if err := expand(f, stored, w, digester); err != nil {
		return webjob.Errorf(webjob.Unavailable, "%s of run %s: %w", f.Path, record.Run, err)
	}
	if digester.Digest() != f.Digest {
		return webjob.Errorf(webjob.Refused, "%s of run %s is %s and the list says %s; the server's copy was changed", f.Path, record.Run, digester.Digest(), f.Digest)
	}
	return nil
}

func reasonWithout(f *webjob.CollectedFile) string {
	switch {
	case f.Error != "":
		return f.Error
	case f.Skipped != "":
		return f.Skipped
	}
	return "it is a " + string(f.Type)
}

// expand puts the stored bytes of a file where they belong.
func expand(f *webjob.CollectedFile, stored io.Reader, w io.Writer, digester *webjob.Digester) error {
	extents := f.Extents
	if !f.Sparse {
		extents = [][2]int64{{0, f.Size}}
	}
	var at int64
	for _, extent := range extents {
		if err := hole(w, digester, extent[0]-at); err != nil {
			return err
		}
		if _, err := io.CopyN(io.MultiWriter(w, digester), stored, extent[1]); err != nil {
			return err
		}
		at = extent[0] + extent[1]
	}
	return hole(w, digester, f.Size-at)
}

// hole writes n zeros, as a hole where w is a regular file.
func hole(w io.Writer, digester *webjob.Digester, n int64) error {
	if n == 0 {
		return nil
	}
	if _, err := io.CopyN(digester, zeros{}, n); err != nil {
		return err
	}
	if file, ok := w.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			at, err := file.Seek(n, io.SeekCurrent)
			if err != nil {
				return err
			}
			return file.Truncate(at)
		}
	}
	_, err := io.CopyN(w, zeros{}, n)
	return err
}

// zeros is an endless reader of zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Restored counts what [Session.RestoreCollected] wrote.
type Restored struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

// RestoreFiles writes the contents of the files that want chooses below dir, which it
// makes: each under its own path, with its time of modification and no permissions but
// this user's. Links, owners and everything that is not a file stay in the list.
// Nothing is overwritten and nothing is written outside of dir.
func (r Results) RestoreFiles(ctx context.Context, record *webjob.Record, dir string, want func(*webjob.CollectedFile) bool) (Restored, error) {
	var restored Restored
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return restored, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return restored, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	defer func() { _ = root.Close() }() // files were closed one by one
	err = r.Files(ctx, record, func(f *webjob.CollectedFile) error {
		if !f.HasContent() || !want(f) {
			return nil
		}
		if err := r.restore(ctx, record, f, root); err != nil {
			return err
		}
		restored.Files++
		restored.Bytes += f.Size
		return nil
	})
	return restored, err
}

func (r Results) restore(ctx context.Context, record *webjob.Record, f *webjob.CollectedFile, root *os.Root) error {
	name, err := placeOf(f)
	if err != nil {
		return err
	}
	if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
		return webjob.Errorf(webjob.Invalid, "%w", err)
	}
	out, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return webjob.Errorf(webjob.Conflict, "%s is there already; name a new folder with --to", filepath.Join(root.Name(), filepath.FromSlash(name)))
	}
	if err != nil {
		return webjob.Errorf(webjob.Invalid, "%w", err)
	}
	if err := errors.Join(r.WriteFile(ctx, record, f, out), out.Close()); err != nil {
		return errors.Join(err, root.Remove(name))
	}
	return root.Chtimes(name, f.Modified, f.Modified)
}

// placeOf returns where below a folder a collected file goes: its path without the root,
// "C:" as "C". A path is a client's word and may be anything.
func placeOf(f *webjob.CollectedFile) (string, error) {
	name := f.Path
	if len(f.RawPath) > 0 && runtime.GOOS != "windows" {
		name = string(f.RawPath)
	}
	if len(name) > 2 && name[1] == ':' && name[2] == '/' {
		name = name[:1] + name[2:]
	}
	name = strings.TrimLeft(name, "/")
	valid := filepath.IsLocal(filepath.FromSlash(name)) && path.Clean(name) == name && !strings.ContainsRune(name, 0) && name != "."
	if valid && utf8.ValidString(name) && runtime.GOOS == "windows" {
		valid = bundle.CheckPortable(name) == nil
	}
	if !valid {
		return "", webjob.Errorf(webjob.Refused, "the list names a file %.200q, which cannot be placed below a folder", name)
	}
	return name, nil
}
