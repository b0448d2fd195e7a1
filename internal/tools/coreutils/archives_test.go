package coreutils_test

import (
	"archive/tar"
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestGzipAndTheHostsUnpackEachOther does so with every level and option.
func TestGzipAndTheHostsUnpackEachOther(t *testing.T) {
	needHost(t, "gzip")
	for _, level := range strings.Fields("-1 -2 -3 -4 -5 -6 -7 -8 -9 --fast --best") {
		dir := material(t)
		packed := run(t, dir, "", "gzip -c "+level+" long")
		if back := host(t, dir, packed.out, "gzip -dc"); back.out != read(t, dir, "long") || packed.status != 0 {
			t.Errorf("%s: %d %s %s", level, packed.status, packed.err, back.err)
		}
	}
	for _, c := range []struct{ prepare, line, gone, there string }{
		{"", "gzip words", "words", "words.gz"},
		{"", "gzip -k words", "", "words.gz"},
		{"", "gzip words empty", "words empty", "words.gz empty.gz"},
		{"gzip words", "gunzip words.gz", "words.gz", "words"},
		{"gzip words", "gzip -d words.gz", "words.gz", "words"},
		{"gzip words", "gzip -dk words.gz", "", "words words.gz"},
		{"gzip words", "zcat words.gz", "", "words.gz"},
		{"gzip words", "gzcat words.gz", "", "words.gz"},
		{"gzip words", "gunzip -c words.gz", "", "words.gz"},
		{"gzip -k words", "gzip words", "", "words words.gz"},
		{"gzip -k words", "gzip -f words", "words", "words.gz"},
		{"gzip -k words", "gunzip words.gz", "", "words words.gz"},
		{"gzip -k words", "gunzip -f words.gz", "words.gz", "words"},
		{"", "gzip words nothing open", "words open", "words.gz open.gz"},
		{"cp words x.gz", "gunzip x.gz", "x", "x.gz"},
	} {
		if strings.Contains(c.line, "gzcat") {
			c.prepare = strings.ReplaceAll(c.prepare, "gzcat", "zcat")
		}
		ours, theirs := material(t), material(t)
		if c.prepare != "" {
			host(t, ours, "", c.prepare)
			host(t, theirs, "", c.prepare)
		}
		got, want := run(t, ours, "", c.line), host(t, theirs, "", strings.Replace(c.line, "gzcat", "zcat", 1))
		if got.out != want.out || got.status != want.status {
			t.Errorf("%s; %s: status %d, %q, %s\nwant %d, %q, %s", c.prepare, c.line, got.status, got.out, got.err, want.status, want.out, want.err)
		}
		for _, dir := range []string{ours, theirs} {
			for _, name := range strings.Fields(c.gone) {
				if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
					t.Errorf("%s; %s left %s", c.prepare, c.line, name)
				}
			}
			for _, name := range strings.Fields(c.there) {
				if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
					t.Errorf("%s; %s: %v", c.prepare, c.line, err)
				}
			}
		}
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestGzipKeepsModeAndTime(t *testing.T) {
	dir := material(t)
	at := time.Unix(1_600_000_000, 0)
	if err := os.Chmod(filepath.Join(dir, "words"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(dir, "words"), at, at); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"gzip words", "gunzip words.gz"} {
		run(t, dir, "", line)
	}
	info, err := os.Stat(filepath.Join(dir, "words"))
	if err != nil || info.Mode() != 0o640 || !info.ModTime().Equal(at) {
		t.Errorf("%v, %v", info, err)
	}
}

// TestBrokenGzipLeavesNothingHalf cuts and bends an archive.
func TestBrokenGzipLeavesNothingHalf(t *testing.T) {
	dir := material(t)
	run(t, dir, "", "gzip -k long")
	whole := read(t, dir, "long.gz")
	for name, text := range map[string]string{"cut": whole[:len(whole)-10], "bent": whole[:len(whole)-8] + "xxxx" + whole[len(whole)-4:], "head": whole[:5], "none": ""} {
		write(t, filepath.Join(dir, name+".gz"), text)
		got := run(t, dir, "", "gunzip "+name+".gz")
		_, err := os.Lstat(filepath.Join(dir, name))
		if got.status == 0 || !strings.Contains(got.err, name+".gz") || err == nil || read(t, dir, name+".gz") != text {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestTarAndTheHostsUnpackEachOther packs with one and unpacks with the other.
func TestTarAndTheHostsUnpackEachOther(t *testing.T) {
	needHost(t, "tar")
	for _, line := range []string{"-cf x.tar a words", "-czf x.tar a words", "cf x.tar a words", "-c -f x.tar ./a words", "-C . -cf x.tar a words", "-cf x.tar a/b/../../words a"} {
		for _, other := range []bool{false, true} {
			dir := material(t)
			pack, unpack := run, host
			if other {
				pack, unpack = host, run
			}
			if got := pack(t, dir, "", "tar "+line); got.status != 0 {
				t.Errorf("tar %s: %+v", line, got)
			}
			names := strings.Split(strings.ReplaceAll(unpack(t, dir, "", "tar -tf x.tar").out, "./", ""), "\n")
			slices.Sort(names)
			if got := strings.Join(names, " "); !strings.Contains(got, " a/ a/.three a/b/ a/b/[x]*?y a/b/two a/link a/one") || !strings.Contains(got, "words") {
				t.Errorf("tar %s, by the host %t: holds %q", line, other, got)
			}
			if err := os.Mkdir(filepath.Join(dir, "out"), 0o755); err != nil {
				t.Fatal(err)
			}
			got := unpack(t, dir, "", "tar -xf x.tar -C out")
			all := tree(t, dir)
			for _, name := range []string{"a", "a/.three", "a/b/two", "a/link", "a/one", "a/b/[x]*?y"} {
				if all["out/"+name] != all[name] {
					t.Errorf("tar %s: %s is %s, want %s; %+v", line, name, all["out/"+name], all[name], got)
				}
			}
			info, err := os.Stat(filepath.Join(dir, "out/a/one"))
			if err != nil || info.ModTime().Unix() != 1_700_000_002 {
				t.Errorf("tar %s: %v, %v", line, info, err)
			}
		}
	}
}

// TestTarDoesWhatTheHostsDoWithOneArchive compares lines that read the same archive.
func TestTarDoesWhatTheHostsDoWithOneArchive(t *testing.T) {
	needHost(t, "tar")
	for _, line := range []string{
		"-tf x.tar", "tf x.tar", "-xf x.tar -C out", "-xvf x.tar -C out", "-tf x.tar words", "-tf x.tar a", "-xf x.tar -C out a/one", "-xf x.tar -C out a", "-xf x.tar -C out nothing", "-tf x.tar nothing words", "-tf x.tar a/", "xfC x.tar out",
		"-xzf x.tgz -C out", "-tzf x.tgz", "-tf x.tgz", "-xf x.tar -C nowhere", "-xf x.tar -C out hard words", "-xvf x.tar -C out hard", "-cvf y.tar words a/one", "-cvf y.tar -C a one b/two",
	} {
		theirs, ours := material(t), material(t)
		for _, dir := range []string{theirs, ours} {
			host(t, dir, "", "mkdir out")
			host(t, dir, "", "ln words hard")
			host(t, dir, "", "tar --sort=name --mtime=@1 -cf x.tar a hard words")
			host(t, dir, "", "tar --sort=name --mtime=@1 -czf x.tgz a words")
		}
		want, got := host(t, theirs, "", "tar "+line), run(t, ours, "", "tar "+line)
		if got.out != want.out || got.status != want.status || (got.err == "") != (want.err == "") {
			t.Errorf("tar %s: status %d, %q, %s\nwant %d, %q, %s", line, got.status, got.out, got.err, want.status, want.out, want.err)
		}
		all := tree(t, ours)
		for name, want := range tree(t, theirs) {
			if strings.HasPrefix(name, "out") && all[name] != want {
				t.Errorf("tar %s: %s is %q, want %q", line, name, all[name], want)
			}
		}
	}
}

// TestTarStaysInsideItsFolder unpacks archives that try to lead out of it.
func TestTarStaysInsideItsFolder(t *testing.T) {
	file := func(name string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: 4}
	}
	link := func(name, to string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}
	}
	for name, members := range map[string][]tar.Header{
		"parent":           {file("../evil")},
		"deep parent":      {file("a/../../evil")},
		"absolute":         {file("/evil")},
		"through a link":   {link("out", ".."), file("out/evil")},
		"through two":      {link("x", "."), link("x/y", ".."), file("y/evil")},
		"over a link":      {link("evil", "../evil"), file("evil")},
		"hard link":        {{Name: "h", Typeflag: tar.TypeLink, Linkname: "../secret"}},
		"hard absolute":    {{Name: "h", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}},
		"folder":           {{Name: "../evil/", Typeflag: tar.TypeDir, Mode: 0o777}},
		"folder by a link": {link("d", "../.."), {Name: "d/evil", Typeflag: tar.TypeDir, Mode: 0o755}},
		"mode by a link":   {link("d", ".."), {Name: "d", Typeflag: tar.TypeDir, Mode: 0o777}},
		"device":           {{Name: "dev", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}},
		"fifo":             {{Name: "fifo", Typeflag: tar.TypeFifo}},
		"set user id":      {{Name: "suid", Typeflag: tar.TypeReg, Mode: 0o4755, Size: 4}},
		"link to itself":   {{Name: "self", Typeflag: tar.TypeLink, Linkname: "self"}},
	} {
		t.Run(name, func(t *testing.T) {
			outside := t.TempDir()
			dir := filepath.Join(outside, "in")
			write(t, filepath.Join(outside, "secret"), "secret")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			before := tree(t, outside)
			var archive bytes.Buffer
			w := tar.NewWriter(&archive)
			for _, h := range members {
				if err := w.WriteHeader(&h); err != nil {
					t.Fatal(err)
				}
				if h.Size > 0 {
					if _, err := w.Write([]byte("evil")); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			got := run(t, dir, archive.String(), "tar -x")
			after := tree(t, outside)
			for path, what := range after {
				if !strings.HasPrefix(path, "in/") && before[path] != what {
					t.Errorf("%s became %s; %+v", path, what, got)
				}
				if strings.HasPrefix(what, "u") || strings.Contains(what, "secret") && path != "secret" || strings.HasPrefix(what, "D") || strings.HasPrefix(what, "p") {
					t.Errorf("%s is %s", path, what)
				}
			}
			if got.status == 0 && name != "over a link" && name != "set user id" {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestGzipLeavesOutWhatItShould(t *testing.T) {
	for line, why := range map[string]string{"gzip x.gz": "suffix .gz already", "gzip a/link": "not a regular file", "gunzip x.gz": "needs -f", "gunzip words": "does not end with .gz", "gzip a": "is a folder"} {
		dir := material(t)
		write(t, filepath.Join(dir, "x.gz"), "no gzip")
		write(t, filepath.Join(dir, "x"), "there")
		before := tree(t, dir)
		if got := run(t, dir, "", line); got.status != 2 || !strings.Contains(got.err, why) || !maps.Equal(before, tree(t, dir)) {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

func TestBrokenTarIsAnError(t *testing.T) {
	dir := material(t)
	run(t, dir, "", "tar -cf x.tar a words")
	whole := read(t, dir, "x.tar")
	for name, text := range map[string]string{"cut in a header": whole[:700], "cut in a file": whole[:len(whole)-1200], "no tar": read(t, dir, "long"), "empty": "", "a gzip header": "\x1f\x8b\b"} {
		if got := run(t, dir, text, "tar -t"); got.status != 2 || strings.Count(got.err, "\n") != 1 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestUnpackingHolesEndsWithTheContext unpacks a file of a terabyte that holds nothing.
func TestUnpackingHolesEndsWithTheContext(t *testing.T) {
	needHost(t, "tar")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "hole"), "")
	if err := os.Truncate(filepath.Join(dir, "hole"), 1<<40); err != nil {
		t.Skip(err)
	}
	if got := host(t, dir, "", "tar -Scf x.tar hole"); got.status != 0 {
		t.Skip(got.err)
	}
	if err := os.Remove(filepath.Join(dir, "hole")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	runWith(ctx, t, dir, nil, []string{"tar", "-xf", "x.tar"})
	info, err := os.Stat(filepath.Join(dir, "hole"))
	if ctx.Err() == nil || err != nil || info.Size() >= 1<<30 {
		t.Errorf("it went on to %v, %v", info, err)
	}
}

func TestTarNamesStayInside(t *testing.T) {
	dir := material(t)
	run(t, filepath.Join(dir, "a"), "", "tar -cf ../x.tar ../words "+dir+"/open ../../"+filepath.Base(dir)+"/empty")
	got := run(t, dir, "", "tar -tf x.tar").out
	if want := "words\n" + strings.TrimPrefix(dir, "/") + "/open\n" + filepath.Base(dir) + "/empty\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestTarLeavesItselfOut(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "x"), "x")
	run(t, dir, "", "tar -cf self.tar .")
	if got := run(t, dir, "", "tar -tf self.tar").out; strings.Contains(got, "self.tar") || !strings.Contains(got, "x\n") {
		t.Errorf("%q", got)
	}
}

func TestTarLeavesOutWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	fifo(t, filepath.Join(dir, "fifo"))
	write(t, filepath.Join(dir, "x"), "x")
	got := run(t, dir, "", "tar -cf /dev/null .")
	if got.status != 2 || !strings.Contains(got.err, "fifo is neither") {
		t.Errorf("%+v", got)
	}
}
