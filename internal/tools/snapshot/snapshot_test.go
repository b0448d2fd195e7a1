package snapshot_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"webjob.dev/webjob/internal/tools/snapshot"
)

func take(t *testing.T, dir string) *snapshot.Snapshot {
	t.Helper()
	var text bytes.Buffer
	if err := snapshot.Map(&text, []string{dir}, func(string) bool { return false }, func(err error) { t.Error(err) }); err != nil {
		t.Fatal(err)
	}
	s, err := snapshot.Read(&text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMapAndCompare(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("same", "same", 0o644)
	write("changed", "before", 0o644)
	write("gone", "gone", 0o644)
	write("mode", "mode", 0o644)
	before := take(t, dir)
	write("changed", "after!", 0o644)
	write("a b|c\n%+\"é", "new", 0o644)
	if err := os.Remove(filepath.Join(dir, "gone")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "mode"), 0o4755); err != nil {
		t.Fatal(err)
	}
	list, err := snapshot.Compare(before, take(t, dir), []string{"mode", "size", "md5", "sha256"})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := snapshot.WriteDifferences(&out, list); err != nil {
		t.Fatal(err)
	}
	want := "category|name|changed|unknown\n" + strings.ReplaceAll(`N|"DIR/a+b%7cc%0a%25%2b%22%c3%a9"||
C|"DIR/changed"|md5,sha256|
M|"DIR/gone"||
C|"DIR/mode"|mode|
`, "DIR", dir)
	if out.String() != want {
		t.Errorf("%s\nwant\n%s", out.String(), want)
	}
}

// A snapshot as FTimes 3.x writes it, with fields that we do not write, can be compared.
func TestForeignFields(t *testing.T) {
	const header = "name|dev|inode|mode|nlink|uid|gid|rdev|atime|mtime|ctime|size|md5|sha1|sha256|magic\n"
	read := func(text string) *snapshot.Snapshot {
		s, err := snapshot.Read(strings.NewReader(header + text))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := read(`"/etc"|64768|12|40755|90|0|0|0|2026-01-01 00:00:00|2026-01-01 00:00:00|2026-01-01 00:00:00|4096|DIRECTORY|DIRECTORY|DIRECTORY|directory` + "\n" +
		`"/etc/motd"|64768|13|100644|1|0|0|0|2026-01-01 00:00:00|2026-01-01 00:00:00|2026-01-01 00:00:00|0|d41d8cd98f00b204e9800998ecf8427e|||empty` + "\n")
	after := read(`"/etc"|64768|12|40755|91|0|0|0|2026-01-01 00:00:00|2026-01-01 00:00:00|2026-01-01 00:00:00|4096|DIRECTORY|DIRECTORY|DIRECTORY|directory` + "\n" +
		`"/etc/motd"|64768|13|100644|1|0|0|0|2026-01-01 00:00:00|2026-01-01 00:00:00|2026-01-01 00:00:00|1|c4ca4238a0b923820dcc509a6f75849b||x|text` + "\n")
	list, err := snapshot.Compare(before, after, []string{"nlink", "size", "sha256", "magic"})
	if err != nil || len(list) != 2 || strings.Join(list[1].Fields, ",") != "size,magic" || strings.Join(list[1].Unknown, ",") != "sha256" || list[0].Fields[0] != "nlink" {
		t.Errorf("%+v %v", list, err)
	}
}

func TestBadSnapshots(t *testing.T) {
	for text, want := range map[string]string{
		"": "empty", "\n": "not the header", "name\n": "not the header", "name||size\n": "not the header", "x|y\n": "not the header",
		"name|size\n\"/a\"|1|2\n": "line 2 of the snapshot has 3 fields", "name|size\n/a|1\n": "no name in quotes", "name|size\n\"/a\"|1\n\"/a\"|1\n": "names \"/a\" again",
		"name|size\n\"" + strings.Repeat("x", 100_000) + "\"|1\n": "not readable",
	} {
		if _, err := snapshot.Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
	s, err := snapshot.Read(strings.NewReader("name|size\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := snapshot.Compare(s, s, []string{"md5"}); err == nil || !strings.Contains(err.Error(), `field "md5" is not in both`) {
		t.Error(err)
	}
}
