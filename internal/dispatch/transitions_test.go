package dispatch

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"testing"

	"webjob.dev/webjob"
)

// The tables in docs/design.md are those of the program, word by word.
func TestDocumentsHaveTheTransitionTables(t *testing.T) {
	text, err := os.ReadFile("../../docs/design.md")
	if err != nil {
		t.Fatal(err)
	}
	var orders, runs strings.Builder
	orders.WriteString("| order | event | if | becomes | its runs |\n|---|---|---|---|---|\n")
	for _, line := range orderTransitions {
		fmt.Fprintf(&orders, "| %s | %s | %s | %s | %s |\n", states(line.from), line.event, line.guard, line.to, line.runs)
	}
	runs.WriteString("| run | event | if | becomes |\n|---|---|---|---|\n")
	for _, line := range runTransitions {
		fmt.Fprintf(&runs, "| %s | %s | %s | %s |\n", states(line.from), line.event, line.guard, line.to)
	}
	for _, table := range []string{orders.String(), runs.String()} {
		if !strings.Contains(string(text), table) {
			t.Errorf("docs/design.md lacks this table:\n%s", table)
		}
	}
}

func states[S webjob.OrderState | webjob.RunState](from []S) string {
	if from == nil {
		return "any"
	}
	var words []string
	for _, state := range from {
		words = append(words, cmp.Or(string(state), "new"))
	}
	return strings.Join(words, ", ")
}
