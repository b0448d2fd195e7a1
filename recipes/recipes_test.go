package recipes_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"webjob.dev/webjob/internal/operator"
	"webjob.dev/webjob/recipes"
)

// Lint has nothing to say about the recipes, and every README answers the same questions.
func TestRecipesAreInOrder(t *testing.T) {
	if _, err := exec.LookPath("shellcheck"); err != nil {
		t.Fatal("install shellcheck: ", err)
	}
	names := recipes.Names()
	if len(names) < 21 {
		t.Fatalf("%d recipes: %q", len(names), names)
	}
	for _, name := range names {
		dir := filepath.Join(t.TempDir(), "job")
		if err := recipes.Copy(name, dir); err != nil {
			t.Fatal(err)
		}
		findings, err := operator.Lint(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range findings {
			if !strings.HasSuffix(f.File, "tree/sample") { // which does what malware does
				t.Errorf("%s: %+v", name, f)
			}
		}
		readme, err := recipes.Readme(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"# " + name + "\n", "**What.**", "**Why.**", "**How.**", "**Needs.**", "**What to watch.**"} {
			if !strings.Contains(readme, part) {
				t.Errorf("README of %s has no %q", name, part)
			}
		}
		d, err := operator.ReadDescription(dir)
		if err != nil || d.Name != name {
			t.Errorf("%s: its description is of %q (%v)", name, d.Name, err)
		}
	}
}
