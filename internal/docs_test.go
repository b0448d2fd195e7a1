package internal_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What documents name is there: tests, sessions, and files of the source.
func TestDocumentsNameWhatIsThere(t *testing.T) {
	var files []string
	declared := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); name == ".git" || name == ".tools" || name == "bin" {
				return fs.SkipDir
			}
			return nil
		}
		files = append(files, filepath.ToSlash(path))
		if strings.HasSuffix(path, "_test.go") {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range function.FindAllSubmatch(text, -1) {
				declared[string(m[1])] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	documents := []string{"../README.md", "../CONTRIBUTING.md"}
	for _, pattern := range []string{"../docs/*.md", "../changelog/unreleased/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(found), err)
		}
		documents = append(documents, found...)
	}
	test := regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w*`)
	source := regexp.MustCompile("[`(]([\\w./-]+\\.(?:go|txtar|md|svg|sql))[`)#]")
	named := 0
	for _, document := range documents {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range test.FindAllString(string(text), -1) {
			if named++; !declared[name] {
				t.Errorf("%s names %s, and there is no such test", document, name)
			}
		}
		for _, m := range source.FindAllStringSubmatch(string(text), -1) {
			name := strings.TrimLeft(m[1], "./")
			there := func(file string) bool { return file == "../"+name || strings.HasSuffix(file, "/"+name) }
			if named++; !slices.ContainsFunc(files, there) {
				t.Errorf("%s names %s, and there is no such file", document, m[1])
			}
		}
	}
	if named < 100 {
		t.Fatalf("%d names were found in the documents: they were not read", named)
	}
}
