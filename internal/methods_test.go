// Package internal_test judges the shape of the packages below internal.
package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mostMethods is where a type stops being one thing.
const mostMethods = 24

// TestTypesAreOneThing counts the methods of every type, on whatever platform they are
// declared.
func TestTypesAreOneThing(t *testing.T) {
	methods := map[string]map[string]bool{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.Name() == "testdata" {
			return fs.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, declaration := range file.Decls {
			f, isFunction := declaration.(*ast.FuncDecl)
			if !isFunction || f.Recv == nil {
				continue
			}
			name := filepath.ToSlash(filepath.Dir(path)) + "." + receiver(f.Recv.List[0].Type)
			if methods[name] == nil {
				methods[name] = map[string]bool{}
			}
			methods[name][f.Name.Name] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(methods["endpoint.State"]) == 0 {
		t.Fatal("endpoint.State has no methods: nothing was counted")
	}
	for _, name := range slices.Sorted(maps.Keys(methods)) {
		if n := len(methods[name]); n > mostMethods {
			t.Errorf("%s has %d methods; at most %d: divide it by what it does", name, n, mostMethods)
		}
	}
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr: // of a generic type
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return "?"
}
