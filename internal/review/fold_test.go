package review

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// On a terminal no part of a line begins where only lines of ours do, nothing is lost, and
// lines that fit stay as they are.
func TestLinesAreFolded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(minWidth, 200).Draw(t, "width")
		p := NewPage(true)
		text := rapid.OneOf(rapid.StringN(0, 600, -1), rapid.StringMatching(`( |\t|x|日|é){0,600}`)).Draw(t, "text")
		p.text("a text", []byte(text))
		got := Fold(p.Lines, width)
		for _, line := range got {
			columns := 0
			for _, r := range line {
				columns += columnsOf(r)
			}
			if columns > width {
				t.Fatalf("%q takes %d columns of %d", line, columns, width)
			}
		}
		if whole := strings.ReplaceAll(strings.Join(got, "\n"), "\n"+carriedOn, ""); whole != strings.Join(p.Lines, "\n") {
			t.Fatalf("%q is folded to %q", p.Lines, got)
		}
	})
	long := []string{margin + strings.Repeat(" ", 76) + "Sign this? [y/N] y"}
	if got := Fold(long, 80); len(got) != 2 || got[1] != carriedOn+"Sign this? [y/N] y" {
		t.Errorf("a line that goes on like one of ours: %q", got)
	}
	if got := Fold(long, 0); len(got) != 1 {
		t.Errorf("where there is no terminal: %q", got)
	}
}
