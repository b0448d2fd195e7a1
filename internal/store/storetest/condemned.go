package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"webjob.dev/webjob"
)

// heldOrCondemned walks every interleaving of one who names a blob and one who removes it,
// with the end of the hold at every point: a named blob is always there. Whether the blob
// store is a folder or a bucket does not matter, so a set stands for it.
func heldOrCondemned(t *testing.T, s webjob.Store) {
	var walks []*walk
	var work sync.WaitGroup
	places := make(chan struct{}, 100) // side by side they share their commits
	for i, steps := range interleavings("namer", 4, "sweeper", 4, "clock", 1) {
		for _, old := range []bool{false, true} {
			w := &walk{t: t, s: s, run: fmt.Sprintf("run-%d-%v", i, old), at: now, there: old}
			walks = append(walks, w)
			places <- struct{}{}
			work.Go(func() {
				defer func() { <-places }()
				if !w.play(steps) {
					t.Errorf("old %v, %v: a blob that a result names is not there", old, steps)
				}
			})
		}
	}
	work.Wait()
	var named, refused, removed int
	for _, w := range walks {
		if w.named {
			named++
		}
		if w.failed {
			refused++
		}
		if w.swept {
			removed++
		}
	}
	if named == 0 || refused == 0 || removed == 0 {
		t.Errorf("%d results were named, %d refused, %d blobs removed: nothing was tested", named, refused, removed)
	}
}

// walk is one interleaving.
type walk struct {
	t   *testing.T
	s   webjob.Store
	run string
	at  time.Time

	there, named, swept  bool
	held                 []int64
	failed               bool // the namer gave up
	listed               bool
	condemned            []webjob.Digest
	namerStep, sweepStep int
}

func (w *walk) play(steps []string) bool {
	for _, who := range steps {
		switch who {
		case "namer":
			w.name(w.namerStep)
			w.namerStep++
		case "sweeper":
			w.sweep(w.sweepStep)
			w.sweepStep++
		default:
			w.at = w.at.Add(2 * time.Hour)
		}
		if w.named && !w.there {
			return false
		}
	}
	return true
}

// name holds, puts what is not there, and names. A namer that was refused stops.
func (w *walk) name(step int) {
	part := stdout(w.run, 100_000)
	if w.failed {
		return
	}
	var err error
	switch step {
	case 0:
		h := holdFor("web1", w.run, part)
		h.Until = w.at.Add(time.Hour)
		w.held, err = w.s.HoldBlobs(w.t.Context(), h)
	case 1:
		if !w.there {
			w.there = true // Put
		}
	case 2:
		r := resultOf(w.run)
		w.named, err = w.s.AddResult(w.t.Context(), r, []webjob.Stream{part}, webjob.ResultEffects{Held: w.held})
	case 3: // and the same request again, as when the answer was lost
		h := holdFor("web1", w.run, part)
		h.Until = w.at.Add(time.Hour)
		w.held, err = w.s.HoldBlobs(w.t.Context(), h)
	}
	if w.failed = err != nil; w.failed && webjob.KindOf(err) != webjob.Unavailable {
		w.t.Error(err)
	}
}

// sweep looks what is there, condemns it, removes it, and says so.
func (w *walk) sweep(step int) {
	d := digestOf(w.run)
	var err error
	switch step {
	case 0:
		w.listed = w.there
	case 1:
		if w.listed {
			w.condemned, err = w.s.CondemnBlobs(w.t.Context(), []webjob.Digest{d}, w.at)
		}
	case 2:
		if len(w.condemned) > 0 {
			w.there, w.swept = false, true
		}
	case 3:
		err = w.s.BlobsRemoved(w.t.Context(), w.condemned)
	}
	if err != nil {
		w.t.Error(err)
	}
}

// interleavings returns every order of the steps of three.
func interleavings(a string, na int, b string, nb int, c string, nc int) [][]string {
	if na+nb+nc == 0 {
		return [][]string{nil}
	}
	var all [][]string
	add := func(who string, rest [][]string) {
		for _, steps := range rest {
			all = append(all, append([]string{who}, steps...))
		}
	}
	if na > 0 {
		add(a, interleavings(a, na-1, b, nb, c, nc))
	}
	if nb > 0 {
		add(b, interleavings(a, na, b, nb-1, c, nc))
	}
	if nc > 0 {
		add(c, interleavings(a, na, b, nb, c, nc-1))
	}
	return all
}
