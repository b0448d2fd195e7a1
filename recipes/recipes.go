// Package recipes holds jobs for common work, each with a README and a test that runs it.
package recipes

import (
	"bytes"
	"embed"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"webjob.dev/webjob"
)

//go:embed */*
var files embed.FS

// testSuffix is that of the test of a recipe, which is not part of it.
const testSuffix = ".txtar"

// Names returns the names of the recipes, in order.
func Names() []string {
	var names []string
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // it is in this program
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// Readme returns what a recipe is for and how to use it, as Markdown.
func Readme(name string) (string, error) {
	text, err := files.ReadFile(path.Join(name, "README.md"))
	if err != nil {
		return "", webjob.Errorf(webjob.NotFound, "there is no recipe %.80q; webjobctl recipe list shows them", name)
	}
	return string(text), nil
}

// Copy writes the job of a recipe to a folder, which must not exist. Scripts are executable.
func Copy(name, dir string) error {
	if _, err := Readme(name); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return webjob.Errorf(webjob.Conflict, "%w; name a new folder", err)
	}
	return fs.WalkDir(files, name, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || file == name || path.Ext(file) == testSuffix {
			return err
		}
		target := filepath.Join(dir, filepath.FromSlash(file[len(name)+1:]))
		if entry.IsDir() {
			return os.Mkdir(target, 0o755)
		}
		text, err := files.ReadFile(file)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if bytes.HasPrefix(text, []byte("#!")) {
			mode = 0o755
		}
		return os.WriteFile(target, text, mode)
	})
}
