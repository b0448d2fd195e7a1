package coreutils_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestBase64ComesBack(t *testing.T) {
	dir := material(t)
	for name := range files {
		for _, width := range []string{"", "-w 0", "-w 1", "-w 77"} {
			packed := run(t, dir, "", "base64 "+width+" '"+name+"'")
			if back := run(t, dir, packed.out, "base64 -d"); back.out != files[name] || packed.status+back.status != 0 {
				t.Errorf("%s %s: %+v %+v", width, name, packed, back)
			}
		}
	}
}

// TestLnReplacesNothingWithNothing keeps a file when its replacement cannot be made.
func TestLnReplacesNothingWithNothing(t *testing.T) {
	for line, want := range map[string]string{"ln -f nothing words": "no such file", "ln -f words words": "same file", "ln words table": "file exists", "ln -sf words a/b": ""} {
		dir := material(t)
		before := tree(t, dir)
		got := run(t, dir, "", line)
		if want == "" {
			if got.status != 0 {
				t.Errorf("%s: %+v", line, got)
			}
			continue
		}
		if got.status != 1 || !strings.Contains(got.err, want) || !maps.Equal(before, tree(t, dir)) {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

func TestReadlinkEndsOnCircles(t *testing.T) {
	dir := t.TempDir()
	for from, to := range map[string]string{"x": "y", "y": "x"} {
		if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
			t.Fatal(err)
		}
	}
	if got := run(t, dir, "", "readlink -f x"); got.status != 1 || got.out != "" {
		t.Errorf("%+v", got)
	}
}

func TestRmRefusesWhatItMustKeep(t *testing.T) {
	dir := material(t)
	before := tree(t, dir)
	for _, line := range []string{"rm -rf .", "rm -rf a/..", "rm -r a/.", "rm a"} {
		got := run(t, dir, "", line)
		if got.status == 0 || got.err == "" || !maps.Equal(before, tree(t, dir)) {
			t.Errorf("%s: %+v", line, got)
		}
	}
	if got := run(t, dir, "", "rm -rf folder/"); tree(t, dir)["a/one"] == "" && got.status != 0 {
		t.Errorf("%+v", got)
	}
}

func TestQuestionsWantAYes(t *testing.T) {
	for answers, gone := range map[string]string{"y\nn\n": "words", "n\nyes\n": "table", "": "", "Y\ny": "words table", "no\n": ""} {
		dir := material(t)
		got := run(t, dir, answers, "rm -i words table")
		all := tree(t, dir)
		for _, name := range []string{"words", "table"} {
			if (all[name] == "") != strings.Contains(gone, name) {
				t.Errorf("%q: %s is %q; %+v", answers, name, all[name], got)
			}
		}
	}
	dir := material(t)
	run(t, dir, "n\n", "cp -i words table")
	if read(t, dir, "table") != files["table"] {
		t.Error("cp -i did what it was not told")
	}
	run(t, dir, "y\n", "cp -i words table")
	if read(t, dir, "table") != files["words"] {
		t.Error("cp -i did not do what it was told")
	}
}

func TestCpCopiesNothingIntoItself(t *testing.T) {
	for _, line := range []string{"cp -r a a/b", "cp -r a a/b/new", "cp -r a folder/b", "cp -r . a", "cp -r a a"} {
		dir := material(t)
		before := tree(t, dir)
		if got := run(t, dir, "", line); got.status != 1 || !strings.Contains(got.err, "itself") || !maps.Equal(before, tree(t, dir)) {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

func TestCpGoesOnAfterWhatItCannotCopy(t *testing.T) {
	dir := material(t)
	fifo(t, filepath.Join(dir, "a", "fifo"))
	got := run(t, dir, "", "cp -r a new")
	if all := tree(t, dir); got.status != 1 || !strings.Contains(got.err, "a/fifo is neither") || all["new/one"] != all["a/one"] || all["new/link"] != all["a/link"] {
		t.Errorf("%+v", got)
	}
}

// TestMvToAnotherFileSystem copies, with modes and times, and removes the original.
func TestMvToAnotherFileSystem(t *testing.T) {
	dir := material(t)
	other, err := os.MkdirTemp("/dev/shm", "mv")
	if err != nil {
		t.Skip(err)
	}
	defer os.RemoveAll(other)
	if err := os.Rename(filepath.Join(dir, "empty"), filepath.Join(other, "empty")); err == nil {
		t.Skip("/dev/shm is the same file system")
	}
	if err := os.Chmod(filepath.Join(dir, "a/one"), 0o2750); err != nil {
		t.Fatal(err)
	}
	before := tree(t, filepath.Join(dir, "a"))
	if got := run(t, dir, "", "mv a words "+other); got.status != 0 {
		t.Errorf("%+v", got)
	}
	if after := tree(t, filepath.Join(other, "a")); !maps.Equal(before, after) {
		t.Errorf("%q, want %q", after, before)
	}
	info, err := os.Stat(filepath.Join(other, "a/one"))
	if err != nil || info.ModTime().Unix() != 1_700_000_002 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); err == nil {
		t.Error("the original is still there")
	}
	fifo(t, filepath.Join(dir, "fifo"))
	write(t, dir+"/some/file", "")
	fifo(t, dir+"/some/fifo")
	for _, name := range []string{"fifo", "some"} {
		if got := run(t, dir, "", "mv "+name+" "+other); got.status == 0 || tree(t, dir)[name] == "" {
			t.Errorf("what cannot be copied is gone: %+v", got)
		}
	}
}

func TestMktempMakesWhatNobodyGuesses(t *testing.T) {
	for line, want := range map[string]string{
		"mktemp":                             `^HERE/tmp\.[A-Z2-7]{10}$`,
		"mktemp -d":                          `^HERE/tmp\.[A-Z2-7]{10}$`,
		"mktemp x.XXXXXX":                    `^x\.[A-Z2-7]{6}$`,
		"mktemp a/x.XXX":                     `^a/x\.[A-Z2-7]{3}$`,
		"mktemp -p a":                        `^a/tmp\.[A-Z2-7]{10}$`,
		"mktemp -p a x.XXXX":                 `^a/x\.[A-Z2-7]{4}$`,
		"mktemp --suffix .log x.XXX":         `^x\.[A-Z2-7]{3}\.log$`,
		"mktemp --tmpdir= x.XXX":             `^HERE/x\.[A-Z2-7]{3}$`,
		"mktemp " + strings.Repeat("X", 200): `^[A-Z2-7]{200}$`,
	} {
		dir := material(t)
		got := run(t, dir, "", line)
		name := strings.TrimSuffix(got.out, "\n")
		if !regexp.MustCompile(want).MatchString(strings.ReplaceAll(name, dir, "HERE")) || got.status != 0 {
			t.Errorf("%s: %+v", line, got)
			continue
		}
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		info, err := os.Lstat(name)
		if err != nil || info.Mode().Perm() != map[bool]os.FileMode{true: 0o700, false: 0o600}[info.IsDir()] || info.IsDir() != strings.Contains(line, "-d") {
			t.Errorf("%s: %v, %v", line, info, err)
		}
	}
	dir := material(t)
	before := tree(t, dir)
	if got := run(t, dir, "", "mktemp -u"); got.status != 0 || got.out == "" || !maps.Equal(before, tree(t, dir)) {
		t.Errorf("%+v", got)
	}
	if got := run(t, dir, "", "mktemp -q nothing/x.XXX"); got.status != 1 || got.out+got.err != "" {
		t.Errorf("%+v", got)
	}
	if got := run(t, dir, "", "mktemp nothing/x.XXX"); got.status != 1 || !strings.Contains(got.err, "nothing") {
		t.Errorf("%+v", got)
	}
}

func TestTouchSetsTheTimesItIsTold(t *testing.T) {
	dir := material(t)
	was := time.Unix(1_700_000_031, 0) // of words
	for line, want := range map[string]time.Time{
		"touch -d @5 words": time.Unix(5, 0), "touch -a -d @6 words": was, "touch -m -d @7 words": time.Unix(7, 0), "touch -c -d @8 words": time.Unix(8, 0), "touch -d 2024-01-31T12:00:00+02:00 words": time.Unix(1_706_695_200, 0),
	} {
		if err := os.Chtimes(filepath.Join(dir, "words"), was, was); err != nil {
			t.Fatal(err)
		}
		run(t, dir, "", line)
		if info, err := os.Stat(filepath.Join(dir, "words")); err != nil || !info.ModTime().Equal(want) {
			t.Errorf("%s: %v, want %v (%v)", line, info.ModTime(), want, err)
		}
	}
}

// TestChmodStaysInItsFolder follows no link that it finds below a folder.
func TestChmodStaysInItsFolder(t *testing.T) {
	dir := material(t)
	if err := os.Symlink("../words", filepath.Join(dir, "a", "out")); err != nil {
		t.Fatal(err)
	}
	run(t, dir, "", "chmod -R 777 a")
	if all := tree(t, dir); strings.HasPrefix(all["words"], "-rwxrwxrwx") || !strings.HasPrefix(all["a/one"], "-rwxrwxrwx") {
		t.Errorf("%q", all)
	}
}

func TestSumsAreChecked(t *testing.T) {
	for _, kind := range []string{"md5", "sha1", "sha256", "sha512"} {
		tool := kind + "sum"
		needHost(t, tool)
		dir := material(t)
		write(t, filepath.Join(dir, "list"), host(t, dir, "", tool+" words table empty").out)
		prints(t, dir, map[string]string{tool + " -c list": "words: OK\ntable: OK\nempty: OK\n", tool + " -c --quiet list": ""})
		write(t, filepath.Join(dir, "table"), "changed")
		if err := os.Remove(filepath.Join(dir, "empty")); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "list"), read(t, dir, "list")+"no line of a list\n")
		for _, options := range []string{" -c", " -c --quiet"} {
			want, got := host(t, dir, "", tool+options+" list"), run(t, dir, "", tool+options+" list")
			if got.out != want.out || got.status != 1 || !strings.Contains(got.err, `"no line of a list" is not a digest`) || !strings.Contains(got.err, "empty: no such file") {
				t.Errorf("%s: %+v, want %+v", tool, got, want)
			}
		}
		other := map[bool]string{true: "md5sum", false: "sha1sum"}[tool == "sha1sum"]
		if got := run(t, dir, host(t, dir, "", other+" words").out, tool+" -c"); got.status != 1 || !strings.Contains(got.err, "is not a digest of kind "+kind) {
			t.Errorf("%s of the wrong kind: %+v", tool, got)
		}
	}
}
