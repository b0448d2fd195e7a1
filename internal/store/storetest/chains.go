package storetest

import (
	"fmt"
	"testing"
	"time"

	"webjob.dev/webjob"
)

// testChains wants the higher version of a chain, in whatever order they come.
func testChains(t *testing.T, s webjob.Store, now time.Time) {
	t.Helper()
	chain := func(line string, generation, number uint64) webjob.Chain {
		return webjob.Chain{Client: "a", Line: line, Generation: generation, Number: number, Ticket: fmt.Sprint(generation, number), Address: "10.0.0.1:1", At: now}
	}
	for _, c := range []struct{ line, is webjob.Chain }{
		{chain("run", 1, 7), chain("run", 1, 7)},
		{chain("agent", 0, 1), chain("agent", 0, 1)},
		{chain("run", 1, 6), chain("run", 1, 7)},
		{chain("run", 0, 9), chain("run", 1, 7)},
		{chain("run", 1, 8), chain("run", 1, 8)},
		{chain("run", 2, 0), chain("run", 2, 0)},
		{chain("run", 1, 9), chain("run", 2, 0)},
	} {
		must(t, s.SaveChains(t.Context(), []webjob.Chain{c.line}))
		must(t, s.Chains(t.Context(), func(kept webjob.Chain) error {
			if kept.Line == c.is.Line {
				wantEqual(t, kept, c.is)
			}
			return nil
		}))
	}
	kept := 0
	must(t, s.Chains(t.Context(), func(webjob.Chain) error {
		kept++
		return nil
	}))
	wantEqual(t, kept, 2)
}
