package hash_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"webjob.dev/webjob/internal/tools/hash"
)

// TestDigestsAreThoseOfOthers compares with the programs of the host.
func TestDigestsAreThoseOfOthers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, bytes.Repeat([]byte("content "), 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	kinds := []string{"md5", "sha1", "sha256", "sha512"}
	set, err := hash.New(kinds...)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a set can be used again
		digests, size, err := set.SumFile(file)
		if err != nil || size != 800_000 {
			t.Fatal(size, err)
		}
		for i, kind := range kinds {
			out, err := exec.CommandContext(t.Context(), kind+"sum", file).Output()
			if err != nil {
				t.Fatal(err)
			}
			if want, _, _ := strings.Cut(string(out), " "); digests[i] != want {
				t.Errorf("%s is %s, want %s", kind, digests[i], want)
			}
		}
	}
}

// TestBlake3 uses the vector of an empty input from the authors' test_vectors.json.
func TestBlake3(t *testing.T) {
	set, err := hash.New("blake3")
	if err != nil {
		t.Fatal(err)
	}
	digests, _, err := set.Sum(strings.NewReader(""))
	if want := "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"; err != nil || digests[0] != want {
		t.Errorf("%v, %v", digests, err)
	}
}

func TestLinesComeBack(t *testing.T) {
	digest := strings.Repeat("ab", 32)
	for _, name := range []string{"a", " b", "a  b", "*c", "x (y) = z"} {
		for _, tag := range []bool{false, true} {
			line, err := hash.ParseLine(hash.Format("sha256", digest, name, tag))
			if err != nil || line.Name != name || line.Digest != digest {
				t.Errorf("%q with tag %t: %+v, %v", name, tag, line, err)
			}
		}
	}
	for _, name := range []string{"a\nb", `a\b`, `\n`} {
		if line, err := hash.ParseLine(hash.Format("sha256", digest, name, false)); err != nil || line.Name != name {
			t.Errorf("%q: %+v, %v", name, line, err)
		}
	}
	for _, bad := range []string{"", "x", digest, digest + " ", digest + "x name", "SHA256 (a) = 12", "12  short", "CRC (a) = " + digest} {
		if line, err := hash.ParseLine(bad); err == nil {
			t.Errorf("%q gave %+v", bad, line)
		}
	}
}
