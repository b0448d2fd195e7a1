package collect_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint/collect"
)

// gather runs one gathering and returns what it says, its list by path, and the contents.
func gather(ctx context.Context, t *testing.T, rules collect.Rules) (collect.Gathered, map[string]webjob.CollectedFile, string) {
	t.Helper()
	contents, err := os.Create(filepath.Join(t.TempDir(), "contents"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = contents.Close() })
	if rules.MaxFiles == 0 {
		rules.MaxFiles = webjob.DefaultCollectFiles
	}
	if rules.Bytes == 0 {
		rules.Bytes = 1 << 40
	}
	if rules.MaxBytes == 0 {
		rules.MaxBytes = rules.Bytes
	}
	var list bytes.Buffer
	gathered, err := collect.Gather(ctx, rules, &list, contents)
	if err != nil {
		t.Fatal(err)
	}
	if got := webjob.DigestOf(list.Bytes()); got != gathered.Files.Digest || int64(list.Len()) != gathered.Files.Size {
		t.Errorf("the list is %s, and said to be %+v", got, gathered.Files)
	}
	f, err := os.Open(contents.Name())
	if err != nil {
		t.Fatal(err)
	}
	digest, size, err := webjob.DigestReader(f)
	if err != nil || f.Close() != nil || digest != gathered.Contents.Digest || size != gathered.Contents.Size {
		t.Errorf("the contents are %d bytes, %s, and said to be %+v (%v)", size, digest, gathered.Contents, err)
	}
	files := map[string]webjob.CollectedFile{}
	for lines := bufio.NewScanner(&list); lines.Scan(); {
		var file webjob.CollectedFile
		if err := json.Unmarshal(lines.Bytes(), &file); err != nil {
			t.Fatal(err)
		}
		if err := file.Check(size); err != nil {
			t.Error(err)
		}
		files[file.Path] = file
	}
	return gathered, files, contents.Name()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A file that grows without end is read as far as it was long when it was opened, and
// marked; so is one that changes without growing.
func TestChangingFilesAreMarked(t *testing.T) {
	dir := t.TempDir()
	grows := filepath.Join(dir, "grows")
	write(t, grows, strings.Repeat("x", 8<<20))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		f, err := os.OpenFile(grows, os.O_APPEND|os.O_WRONLY, 0)
		for err == nil && ctx.Err() == nil {
			_, err = f.WriteString("more")
		}
		ended <- err
	}()
	_, files, _ := gather(t.Context(), t, collect.Rules{Collect: webjob.Collect{Files: []string{dir + "/*"}}})
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := files[grows]; !got.Altered || !got.HasContent() || got.Size != got.Stored {
		t.Errorf("a file that grows is %+v", got)
	}
	_, files, _ = gather(t.Context(), t, collect.Rules{Collect: webjob.Collect{Files: []string{dir + "/*"}}})
	if got := files[grows]; got.Altered || !got.HasContent() {
		t.Errorf("a file at rest is %+v", got)
	}
}

// A gigabyte goes through a buffer, not through memory.
func TestLargeFilesTakeConstantMemory(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	f, err := os.Create(large)
	if err != nil {
		t.Fatal(err)
	}
	block := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	for range 256 {
		if _, err := f.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	gathered, files, _ := gather(t.Context(), t, collect.Rules{Collect: webjob.Collect{Files: []string{dir + "/*"}}})
	runtime.ReadMemStats(&after)
	if files[large].Stored != 256<<20 || gathered.Bytes != 256<<20 {
		t.Fatalf("%+v", files[large])
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
		t.Errorf("256 MiB took %d bytes of memory", used)
	}
}

func TestRules(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a/small": "x", "a/fits": "four", "a/large": "too large", "b/fits": "4444", "skip/fits": "5555", "deep/1/2/3/fits": "6666", "odd [name]/fits": "7777",
	} {
		write(t, filepath.Join(dir, name), text)
	}
	rules := collect.Rules{Dir: filepath.Join(dir, "odd [name]"), Bytes: 12, Collect: webjob.Collect{
		Files:   []string{dir + "/{a,b}/*", dir + "/**/fits", "fits", "../b/fits", dir + "/nothing*", "/"},
		Exclude: []string{dir + "/skip"}, MinBytes: 2, MaxBytes: 5,
	}}
	gathered, files, _ := gather(t.Context(), t, rules)
	for name, want := range map[string]string{
		"a/small": "smaller than 2 bytes", "a/fits": "", "a/large": "larger than 5 bytes", "b/fits": "", "deep/1/2/3/fits": "",
		"odd [name]/fits": "the limit of 12 bytes for all contents is reached", "nothing*": "nothing matches",
	} {
		if got, found := files[filepath.ToSlash(filepath.Join(dir, name))]; !found || got.Skipped != want || got.HasContent() != (want == "") {
			t.Errorf("%s: %+v (%v), want %q", name, got, found, want)
		}
	}
	if _, found := files[dir+"/skip/fits"]; found {
		t.Error("what was excluded is listed")
	}
	if files["../b/fits"].Error == "" || files["/"].Error == "" {
		t.Errorf("patterns that lead out or name the root: %+v", files)
	}
	if want := (webjob.Collected{Entries: 9, Contents: 3, Bytes: 12, Skipped: 3, Unreadable: 2}); gathered.Collected != want {
		t.Errorf("counted %+v, want %+v", gathered.Collected, want)
	}
	rules.MaxFiles = 3
	if gathered, files, _ = gather(t.Context(), t, rules); len(files) != 3 || gathered.Incomplete == "" {
		t.Errorf("with at most 3 files: %d, %+v", len(files), gathered.Collected)
	}
	rules.MaxFiles = 0
	ctx, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	if gathered, _, _ = gather(ctx, t, rules); gathered.Contents.Size != 0 || gathered.Incomplete != "the time for collecting was over" {
		t.Errorf("with no time: %+v", gathered)
	}
}

// A link is not followed, neither by a glob nor where a file was.
func TestLinksAreNotFollowed(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/outside/secret", "secret")
	write(t, dir+"/in/plain", "plain")
	for link, target := range map[string]string{"in/folder": "../outside", "in/file": "../outside/secret", "in/loop": "."} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	gathered, files, _ := gather(t.Context(), t, collect.Rules{Collect: webjob.Collect{Files: []string{dir + "/in/**"}}})
	if gathered.Collected.Contents != 1 || files[dir+"/in/file"].Target != "../outside/secret" || len(files) != 5 {
		t.Errorf("%+v\n%v", gathered, files)
	}
	_, files, _ = gather(t.Context(), t, collect.Rules{Collect: webjob.Collect{Files: []string{dir + "/in/file"}}})
	if f := files[dir+"/outside/secret"]; !f.HasContent() || len(files) != 2 {
		t.Errorf("a link that is named brings its target: %v", files)
	}
}

// A thousand copies are stored once.
func TestDuplicatesAreStoredOnce(t *testing.T) {
	dir := t.TempDir()
	for i := range 1000 {
		write(t, fmt.Sprintf("%s/%d", dir, i), strings.Repeat("same", 1000+i%2))
	}
	gathered, _, _ := gather(t.Context(), t, collect.Rules{Collect: webjob.Collect{Files: []string{dir + "/*"}}})
	if gathered.Collected.Contents != 1000 || gathered.Contents.Size != 4000+4004 {
		t.Errorf("%+v", gathered)
	}
}

// max_files bounds the list, not the folder that it is chosen from.
func TestFewOfMany(t *testing.T) {
	dir := t.TempDir()
	for i := range 200 {
		write(t, fmt.Sprintf("%s/%d.txt", dir, i), "x")
		if i%50 == 0 {
			write(t, fmt.Sprintf("%s/%d.log", dir, i), "x")
		}
	}
	gathered, files, _ := gather(t.Context(), t, collect.Rules{Collect: webjob.Collect{Files: []string{dir + "/*.log"}, MaxFiles: 5}})
	if len(files) != 4 || gathered.Incomplete != "" {
		t.Errorf("%d files of 4, %+v", len(files), gathered.Collected)
	}
}

// webjob's own folder is left out, whatever link leads there, and the job's own in it is not.
func TestPrivateFolder(t *testing.T) {
	root := t.TempDir()
	state := filepath.Join(root, "state")
	job := filepath.Join(state, "work", "run", "home")
	write(t, state+"/get/identity.pem", "key")
	write(t, state+"/work/other/home/secret", "key of another")
	write(t, job+"/out/made", "made")
	if err := os.Symlink("state", filepath.Join(root, "alias")); err != nil {
		t.Fatal(err)
	}
	for _, private := range []string{state, root + "/alias"} {
		for _, pattern := range []string{root + "/**", state + "/**", state + "/get/*", state + "/get/identity.pem", root + "/alias/get/*", root + "/alias/get/identity.pem"} {
			_, files, contents := gather(t.Context(), t, collect.Rules{
				Dir: strings.Replace(job, state, private, 1), Private: private, Collect: webjob.Collect{Files: []string{pattern, "out/*"}},
			})
			text, err := os.ReadFile(contents)
			if err != nil || string(text) != "made" {
				t.Errorf("%s with %s: the contents are %q (%v)\n%v", pattern, private, text, err, files)
			}
		}
	}
}
