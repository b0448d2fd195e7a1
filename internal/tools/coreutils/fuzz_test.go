package coreutils_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob/internal/tools/coreutils"
)

// FuzzScripts gives tools with a language of their own any program and any input: sed
// scripts, expressions of grep and find, sets of tr, keys, lists, modes and formats. Each
// must end in time, and say in one line what is wrong when it refuses.
func FuzzScripts(f *testing.F) {
	for _, seeds := range []struct {
		tool  string
		texts []string
	}{
		{"sed -n", []string{"s/a/b/g", "1,$!p;/x/,/y/s,\\(a\\),\\1&,2gp", "//p", "$d", "2q", "s/a*/\\n/12I"}},
		{"grep", []string{"a|b", "(?i)x{2,3}", "[[:alpha:]]\\b", "a\nb", "\\pL+"}},
		{"grep -w", []string{"x.", "", "@"}},
		{"grep -F", []string{"a(b", ""}},
		{"tr abc", []string{"x-z", "[:upper:]", "\\377\\0", "[x*]", "é-ü"}},
		{"tr -cd", []string{"a-z\\n", "[:print:]"}},
		{"tr -s", []string{"\\\\", "z-a"}},
		{"sort -k", []string{"1", "2.3bn,4.5r", "1,2"}},
		{"cut -c", []string{"1,3-5,7-", "-2", "1 2"}},
		{"cut -f 1 -d", []string{"", ":", "ab"}},
		{"head -n", []string{"5", "+1", "-1"}},
		{"tail -c", []string{"+3", "3"}},
		{"date -u -d @0", []string{"+%Y%m%d%H", "+%%%", "+%é"}},
		{"date -d", []string{"@5", "2024-01-01T00:00:00Z"}},
		{"stat words -c", []string{"%n %s%%", "%"}},
		{"chmod --reference", []string{"words"}},
		{"chmod -- ", []string{"755", "u+x,g=u,o-rwxXst"}},
		{"find words -name", []string{"*[!a-z]?", "[", "\\", "[[:alpha:]", "[]-a]", "[z-a]"}},
		{"find words -size", []string{"+1k", "-3M", "0"}},
		{"find words -perm", []string{"-644", "/1"}},
		{"find words -mmin", []string{"+1"}},
		{"seq", []string{"3"}},
		{"sleep", []string{"0"}},
		{"base64 -w", []string{"3"}},
		{"xargs -n", []string{"2"}},
		{"basename", []string{"/a/b"}},
		{"dirname", []string{"a//b/"}},
	} {
		for _, text := range seeds.texts {
			f.Add(seeds.tool, text, "apple\nx\xff\x00y\n")
		}
	}
	harmless := []string{"sed", "grep", "tr", "sort", "cut", "head", "tail", "date", "stat", "basename", "dirname", "seq", "base64", "xargs"}
	f.Fuzz(func(t *testing.T, tool, text, input string) {
		argv := append(strings.Fields(tool), text)
		if len(argv) < 2 || !slices.Contains(harmless, argv[0]) && !strings.HasPrefix(tool, "find words -") && argv[0] != "chmod" {
			return
		}
		if argv[0] == "chmod" {
			argv = []string{"chmod", "--", text, "words"}
		}
		status, out, complaints := bounded(t, argv, input)
		if status != 0 && status != 1 && status != 2 && argv[0] != "xargs" {
			t.Errorf("%q: status %d", argv, status)
		}
		if strings.Contains(complaints, "; usage: ") && (status != 2 || out != "" || strings.Count(complaints, "\n") != 1) {
			t.Errorf("%q: %q, %q", argv, out, complaints)
		}
		if strings.ContainsAny(complaints, "\x00\x1b") {
			t.Errorf("%q: %q", argv, complaints)
		}
	})
}

// bounded runs a tool with files to work on and commands that do nothing.
func bounded(t *testing.T, argv []string, input string) (status int, out, complaints string) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "words"), files["words"])
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	var o, c bytes.Buffer
	env := coreutils.Env{
		In: strings.NewReader(input), Out: &limited{&o}, Err: &c, Dir: dir,
		Lookup: func(string) (string, bool) { return "", false }, Environ: func() []string { return nil },
		Exec: func(context.Context, []string, io.Reader) (int, error) { return 0, nil },
	}
	begin := time.Now()
	status, err := coreutils.Run(ctx, env, argv)
	if err != nil && argv[0] != "sleep" && argv[0] != "seq" {
		t.Errorf("%q: %v after %s", argv, err, time.Since(begin))
	}
	return status, o.String(), c.String()
}

// limited is an output with an end.
type limited struct{ b *bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.b.Len()+len(p) > 8<<20 {
		return 0, errors.New("full")
	}
	return l.b.Write(p)
}

// FuzzFind gives find an expression of many words.
func FuzzFind(f *testing.F) {
	for _, seed := range []string{"-type f ! -name x", "( -name a -o -name b ) -print", "-exec echo {} ;", "-exec a {} +", "-maxdepth 1 -o", "! ! !", ") (", "-not -newer words -print0 -ls"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		status, out, complaints := bounded(t, append([]string{"find", "words", "-name", "words"}, strings.Fields(expression)...), "")
		if status == 2 && (out != "" || strings.Count(complaints, "\n") != 1) || status > 2 {
			t.Errorf("%q: status %d, %q, %q", expression, status, out, complaints)
		}
	})
}

// FuzzOptions gives every tool that changes nothing any options.
func FuzzOptions(f *testing.F) {
	f.Add("wc", "-lw --bytes words")
	f.Add("sort", "-t: -k2 --key=1 -- words -x")
	f.Add("head", "-5 -n")
	f.Add("tar", "tfC words -")
	f.Add("grep", "-e x --regexp=y -c")
	f.Fuzz(func(t *testing.T, tool, options string) {
		if !slices.Contains([]string{"wc", "sort", "head", "tail", "grep", "uniq", "cat", "cut", "ls", "stat", "id", "uname", "date", "md5sum", "base64", "sed", "tr", "xargs", "env", "readlink"}, tool) || strings.Contains(options, "/") || strings.Contains(options, "..") {
			return
		}
		status, _, complaints := bounded(t, append([]string{tool}, strings.Fields(options)...), "a\n")
		if (status == 2 && complaints == "") || status > 2 && tool != "xargs" && tool != "env" {
			t.Errorf("%s %q: status %d, %q", tool, options, status, complaints)
		}
	})
}

// FuzzInputs gives tools that read a format bytes that may be none of it.
func FuzzInputs(f *testing.F) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, h := range []tar.Header{{Name: "a/", Typeflag: tar.TypeDir, Mode: 0o755}, {Name: "a/x", Mode: 0o644, Size: 1}, {Name: "l", Typeflag: tar.TypeSymlink, Linkname: ".."}, {Name: "h", Typeflag: tar.TypeLink, Linkname: "a/x"}} {
		if err := errors.Join(w.WriteHeader(&h), func() error { _, err := w.Write([]byte("x")[:h.Size]); return err }()); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(archive.Bytes())
	f.Add([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\x4b\x04\x00\x43\xbe\xb7\xe8\x01\x00\x00\x00"))
	f.Add([]byte("d41d8cd98f00b204e9800998ecf8427e  words\nMD5 (words) = d41d8cd98f00b204e9800998ecf8427e\n\\d41d8cd98f00b204e9800998ecf8427e  a\\nb\n"))
	f.Add([]byte("'a b' \"c\" \\d\ne"))
	f.Add([]byte("cGVhcgo=\n"))
	f.Fuzz(func(t *testing.T, input []byte) {
		for _, line := range []string{"gzip -dc", "md5sum -c", "xargs", "xargs -0", "xargs -I% echo %", "base64 -d", "tar -t", "sort -n", "wc", "tr a-z A-Z", "grep x", "sed s/a/b/", "uniq -c", "cut -c 2", "tail -n 2"} {
			bounded(t, strings.Fields(line), string(input))
		}
		if unpacked(input) > 1<<20 {
			return
		}
		outside := t.TempDir()
		dir := filepath.Join(outside, "in")
		write(t, filepath.Join(dir, "x"), "")
		before := tree(t, outside)
		runWith(t.Context(), t, dir, bytes.NewReader(input), []string{"tar", "-x"})
		after := tree(t, outside)
		for _, all := range []map[string]string{before, after} {
			maps.DeleteFunc(all, func(name, _ string) bool {
				return name == "in" || strings.HasPrefix(name, "in"+string(os.PathSeparator))
			})
		}
		if !maps.Equal(before, after) {
			t.Errorf("%q, want %q", after, before)
		}
	})
}

// unpacked is how large the files of an archive are.
func unpacked(input []byte) (size int64) {
	r := tar.NewReader(bytes.NewReader(input))
	for {
		h, err := r.Next()
		if err != nil {
			return size
		}
		if size += h.Size; size > 1<<20 {
			return size
		}
	}
}
