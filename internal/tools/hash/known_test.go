package hash_test

import (
	"crypto/md5" //nolint:gosec // lists of known files name these
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"webjob.dev/webjob/internal/tools/hash"
)

func TestKnown(t *testing.T) {
	for _, size := range []int{1, 2, 3, 1000} {
		var lines []string
		for i := range size {
			sum := md5.Sum([]byte(strconv.Itoa(i))) //nolint:gosec // see above
			line := hex.EncodeToString(sum[:])
			if i%3 == 0 {
				line += " remark " + strconv.Itoa(i)
			}
			lines = append(lines, line)
		}
		slices.Sort(lines)
		file := filepath.Join(t.TempDir(), "set")
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		known, err := hash.OpenKnown(file)
		if err != nil {
			t.Fatal(err)
		}
		if algorithm, err := known.Algorithm(); err != nil || algorithm != "md5" {
			t.Errorf("%s %v", algorithm, err)
		}
		for i := range 2 * size {
			sum := md5.Sum([]byte(strconv.Itoa(i))) //nolint:gosec // see above
			remark, found, err := known.Find(hex.EncodeToString(sum[:]))
			want := ""
			if i < size && i%3 == 0 {
				want = "remark " + strconv.Itoa(i)
			}
			if err != nil || found != (i < size) || remark != want && found {
				t.Errorf("%d of %d: found %v %q (%v)", i, size, found, remark, err)
			}
		}
		for _, edge := range []string{strings.Repeat("0", 32), strings.Repeat("f", 32)} {
			if _, found, err := known.Find(edge); found || err != nil {
				t.Errorf("%s: %v %v", edge, found, err)
			}
		}
		if err := known.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestBadSets(t *testing.T) {
	a, b := strings.Repeat("a", 32), strings.Repeat("b", 32)
	for text, want := range map[string]string{
		"": "the set is empty", b + "\n" + a + "\n": "line 2 is not sorted", a + "\n" + a + "\n": "line 2 is not sorted",
		a + "\n" + b + "b\n": "line 2 is not a digest of 32", strings.ToUpper(a) + "\n": "line 1 is not a digest", a + "\n\n": "line 2 is not a digest",
		strings.Repeat("a", 10_000) + "\n": "token too long",
	} {
		file := filepath.Join(t.TempDir(), "set")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := hash.OpenKnown(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
}
