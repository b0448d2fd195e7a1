package bundle_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/bundle"
)

const plenty = 1 << 30

// pack makes a bundle of headers, each with its size in content.
func pack(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	raw, err := archiveOf(headers)
	if err != nil {
		return nil // no archive can hold it
	}
	return encoder().EncodeAll(raw, nil)
}

func archiveOf(headers []tar.Header) ([]byte, error) {
	var b bytes.Buffer
	archive := tar.NewWriter(&b)
	for _, h := range headers {
		if err := archive.WriteHeader(&h); err != nil {
			return nil, err
		}
		if _, err := io.CopyN(archive, zeros{}, h.Size); err != nil {
			return nil, err
		}
	}
	err := archive.Close()
	return b.Bytes(), err
}

var encoder = sync.OnceValue(func() *zstd.Encoder {
	e, _ := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1)) // options are right
	return e
})

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func file(name string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: 3}
}

func folder(name string) tar.Header {
	return tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755}
}

func link(name, target string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}
}

func TestFoldersComeBackAsTheyWere(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, content := range map[string]string{"run.sh": "#!/bin/sh\n", "lib/deep/data": strings.Repeat("x", 100_000), "lib/empty": ""} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "run.sh"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../run.sh", filepath.Join(dir, "lib", "again")); err != nil {
		t.Fatal(err)
	}
	packed, contents, err := bundle.PackBytes(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	if want := (bundle.Contents{Entries: 6, Bytes: 100_010}); contents != want {
		t.Errorf("contents are %+v, want %+v", contents, want)
	}
	if again, _, err := bundle.PackBytes(dir, true); err != nil || !bytes.Equal(again, packed) {
		t.Errorf("packing again gave other bytes (%v)", err)
	}
	out := t.TempDir()
	if err := bundle.Unpack(bytes.NewReader(packed), out, contents.Bytes); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(out, "lib", "again"))
	if err != nil || info.Mode().Perm() != 0o750 || !info.ModTime().Equal(at) {
		t.Errorf("run.sh, through the link, is %v (%v)", info, err)
	}
	if repacked, _, err := bundle.PackBytes(out, true); err != nil || len(repacked) == 0 {
		t.Error(err)
	}
	if err := bundle.Unpack(bytes.NewReader(packed), t.TempDir(), contents.Bytes-1); webjob.KindOf(err) != webjob.Refused {
		t.Errorf("a byte too much gave %v", err)
	}
}

func TestBadBundlesAreRefused(t *testing.T) {
	good := pack(t, file("a"), file("b"))
	large := file("bomb")
	large.Size = 64 << 20
	device := file("dev")
	device.Typeflag, device.Size = tar.TypeChar, 0
	fifo := device
	fifo.Typeflag = tar.TypeFifo
	hard := tar.Header{Typeflag: tar.TypeLink, Name: "hard", Linkname: "a"}
	for name, b := range map[string][]byte{
		"no bundle":                   []byte("#!/bin/sh\n"),
		"empty":                       {},
		"cut short":                   good[:len(good)-20],
		"changed":                     append(append([]byte{}, good[:20]...), 0xff),
		"traversal":                   pack(t, file("../x")),
		"traversal inside":            pack(t, file("a/../../x")),
		"not clean":                   pack(t, file("a//b")),
		"dot":                         pack(t, file("./a")),
		"absolute":                    pack(t, file("/etc/x")),
		"deep":                        pack(t, file(strings.Repeat("d/", bundle.MaxDepth)+"f")),
		"long name":                   pack(t, file(strings.Repeat("n", 256))),
		"link out":                    pack(t, link("l", "../x")),
		"link out by a longer way":    pack(t, folder("a"), link("a/l", "../../x")),
		"absolute link":               pack(t, link("l", "/etc/passwd")),
		"link up behind a link":       pack(t, link("q", "."), link("l", "q/../x")),
		"link to itself":              pack(t, link("l", "")),
		"file behind a link":          pack(t, folder("a"), link("l", "a"), file("l/f")),
		"link behind a link":          pack(t, folder("z"), folder("a"), link("a/b", "../z"), link("a/b/l", "../../x")),
		"file in place of a link":     pack(t, link("l", "x"), file("l")),
		"twice":                       pack(t, file("a"), file("a")),
		"twice where case is nothing": pack(t, file("a"), file("A")),
		"folder and file":             pack(t, file("a"), file("a/b")),
		"hard link":                   pack(t, file("a"), hard),
		"device":                      pack(t, device),
		"fifo":                        pack(t, fifo),
		"bomb":                        pack(t, large),
	} {
		t.Run(name, func(t *testing.T) {
			box := t.TempDir()
			dir := filepath.Join(box, "in")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			err := bundle.Unpack(bytes.NewReader(b), dir, 32<<20)
			kind := webjob.KindOf(err)
			if name == "folder and file" && kind == webjob.Unavailable {
				kind = webjob.Refused // the file system says it
			}
			if kind != webjob.Refused {
				t.Errorf("Unpack returned %v", err)
			}
			inside(t, box)
		})
	}
}

func TestEntriesAreCounted(t *testing.T) {
	many := make([]tar.Header, bundle.MaxEntries+1)
	for i := range many {
		many[i] = tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("f%d", i), Mode: 0o600}
	}
	visited := 0
	err := bundle.Walk(bytes.NewReader(pack(t, many...)), plenty, func(bundle.Entry, io.Reader) error { visited++; return nil })
	if webjob.KindOf(err) != webjob.Refused || visited != bundle.MaxEntries {
		t.Errorf("%d were visited: %v", visited, err)
	}
}

// inside fails when there is anything in box that is not in box/in, or a link leads
// out of it.
func inside(t *testing.T, box string) {
	t.Helper()
	in, err := filepath.EvalSymlinks(filepath.Join(box, "in"))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(box, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == box {
			return err
		}
		if path != filepath.Join(box, "in") && !strings.HasPrefix(path, filepath.Join(box, "in")+string(os.PathSeparator)) {
			t.Errorf("%s is outside", path)
		}
		if entry.Type()&fs.ModeSymlink != 0 {
			if to, err := filepath.EvalSymlinks(path); err == nil && to != in && !strings.HasPrefix(to, in+string(os.PathSeparator)) {
				t.Errorf("link %s leads to %s", path, to)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestTraversalStrings tries a public list of strings as names of files, folders and
// links, and as what links lead to; as they are and with their escapes undone.
func TestTraversalStrings(t *testing.T) {
	text, err := os.ReadFile("testdata/traversal.txt")
	if err != nil {
		t.Fatal(err)
	}
	tried, box := 0, t.TempDir()
	dir := filepath.Join(box, "in")
	for line := range strings.Lines(string(text)) {
		s := strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(s, "#") || s == "" {
			continue
		}
		for range 3 {
			for _, h := range []tar.Header{file(s), {Typeflag: tar.TypeDir, Name: s, Mode: 0o755}, link(s, "x"), link("a/b/"+"l", s), file("a/" + s)} {
				b := pack(t, h)
				if b == nil {
					continue
				}
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				_ = bundle.Unpack(bytes.NewReader(b), dir, plenty) // what counts is where it wrote
				inside(t, box)
				tried++
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
			}
			decoded, err := url.PathUnescape(s)
			if err != nil || decoded == s {
				break
			}
			s = decoded
		}
	}
	if tried < 5000 {
		t.Errorf("only %d were tried", tried)
	}
}

func TestNamesThatWindowsReserves(t *testing.T) {
	for _, name := range []string{"con", "a/NUL.txt", "com1", "LPT9.log", "aux .c", "x:y", "a\\b", "end.", "end ", "what?", "a/COM¹", "CONIN$"} {
		if bundle.CheckPortable(name) == nil {
			t.Errorf("%q passed", name)
		}
		if runtime.GOOS == "windows" {
			continue
		}
		dir := t.TempDir()
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := bundle.PackBytes(dir, true); webjob.KindOf(err) != webjob.Refused {
			t.Errorf("packing %q returned %v", name, err)
		}
		if _, _, err := bundle.PackBytes(dir, false); err != nil {
			t.Errorf("packing %q for others returned %v", name, err)
		}
	}
	for _, name := range []string{"console", "a.con", "com10", "auxiliary/readme.md"} {
		if err := bundle.CheckPortable(name); err != nil {
			t.Error(err)
		}
	}
}

// FuzzUnpack unpacks tar archives of whatever bytes: nothing may be outside afterwards.
func FuzzUnpack(f *testing.F) {
	for _, headers := range [][]tar.Header{{file("a"), folder("d"), link("d/l", "../a")}, {link("l", "../x"), file("l/f")}, {file("../x")}} {
		raw, err := archiveOf(headers)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		box := t.TempDir()
		dir := filepath.Join(box, "in")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		_ = bundle.Unpack(bytes.NewReader(uncompressed(raw)), dir, 1<<20) // what counts is where it wrote
		inside(t, box)
	})
}

// uncompressed makes a zstd frame of raw blocks (RFC 8878, 3.1.1): compressing would take
// most of the time.
func uncompressed(raw []byte) []byte {
	const block = 100 << 10
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58} // window of 2 MiB
	for first := true; first || len(raw) > 0; first = false {
		n := min(len(raw), block)
		header := uint32(n) << 3
		if n == len(raw) {
			header |= 1 // the last
		}
		frame = append(frame, byte(header), byte(header>>8), byte(header>>16))
		frame, raw = append(frame, raw[:n]...), raw[n:]
	}
	return frame
}
