package storetest

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"webjob.dev/webjob"
)

// digestOf names a blob of a test.
func digestOf(name string) webjob.Digest { return webjob.DigestOf([]byte(name)) }

func stdout(name string, size int64) webjob.Stream {
	return webjob.Stream{Name: webjob.Stdout, Digest: digestOf(name), Size: size}
}

// holdFor is what a client holds for a run with these parts.
func holdFor(client, run string, parts ...webjob.Stream) webjob.Hold {
	h := webjob.Hold{Owner: client, Use: run, Until: now.Add(time.Hour)}
	for _, part := range parts {
		h.Blobs = append(h.Blobs, webjob.HeldBlob{Digest: part.Digest, Size: part.Size})
	}
	return h
}

// addWithParts adds a result as it is done: its parts are held before.
func addWithParts(t *testing.T, s webjob.Store, r webjob.Result, parts ...webjob.Stream) {
	t.Helper()
	held, err := s.HoldBlobs(t.Context(), holdFor(r.Client, r.Run, parts...))
	must(t, err)
	added, err := s.AddResult(t.Context(), r, parts, webjob.ResultEffects{Held: held})
	must(t, err)
	wantEqual(t, added, true)
}

func pruning(t *testing.T, s webjob.Store) {
	for i, until := range []time.Time{now.Add(time.Hour), {}, now, now.Add(-time.Hour)} {
		r := resultOf(fmt.Sprint("run", i))
		r.KeepUntil = until
		parts := []webjob.Stream{stdout("shared", 9)}
		held, err := s.HoldBlobs(t.Context(), holdFor(r.Client, r.Run, parts...))
		must(t, err)
		_, err = s.AddResult(t.Context(), r, parts, webjob.ResultEffects{Held: held, Notes: []webjob.Note{{Hook: "h"}}})
		must(t, err)
	}
	due := func(at time.Time, limit int, want ...string) (sequences []int64) {
		t.Helper()
		list, err := s.DueResults(t.Context(), at, limit)
		must(t, err)
		var runs []string
		for _, r := range list {
			runs, sequences = append(runs, r.Run), append(sequences, r.Sequence)
		}
		wantEqual(t, runs, want)
		return sequences
	}
	due(now.Add(-2*time.Hour), 9)
	due(now, 1, "run3")
	n, err := s.PruneResults(t.Context(), due(now, 9, "run3", "run2"))
	must(t, err)
	wantEqual(t, n, 2)
	due(now, 9)
	for run, want := range map[string]webjob.Kind{"run2": webjob.NotFound, "run3": webjob.NotFound, "run0": "", "run1": ""} {
		_, err := s.Result(t.Context(), run)
		wantKind(t, err, want)
		notes, err := s.Notes(t.Context(), run)
		must(t, err)
		wantEqual(t, len(notes) == 1, want == "")
	}
	for _, want := range []string{"", "some", "others"} {
		rules, err := s.DatedBy(t.Context())
		must(t, err)
		wantEqual(t, rules, want)
		must(t, s.SetDatedBy(t.Context(), map[string]string{"": "some", "some": "others", "others": ""}[want]))
	}
	// What is kept longer, or no longer for good.
	all, err := s.WalkResults(t.Context(), 0, 9)
	must(t, err)
	wantEqual(t, []string{all[0].Run, all[1].Run}, []string{"run0", "run1"})
	wantEqual(t, []time.Time{all[0].KeepUntil, all[1].KeepUntil}, []time.Time{now.Add(time.Hour), {}})
	second, err := s.WalkResults(t.Context(), all[0].Sequence, 9)
	must(t, err)
	wantEqual(t, second, all[1:])
	must(t, s.KeepResults(t.Context(), map[int64]time.Time{all[0].Sequence: {}, all[1].Sequence: now}))
	n, err = s.PruneResults(t.Context(), due(now.Add(2*time.Hour), 9, "run1"))
	must(t, err)
	wantEqual(t, n, 1)
	n, err = s.PruneResults(t.Context(), []int64{all[1].Sequence})
	must(t, err)
	wantEqual(t, n, 0) // it is gone already
}

func storageOf(t *testing.T, s webjob.Store, client string) webjob.Storage {
	t.Helper()
	got, err := s.Storage(t.Context(), client)
	must(t, err)
	return got
}

func holdsAreBounded(t *testing.T, s webjob.Store) {
	upload := func(client, name string, size int64) error {
		h := holdFor(client, webjob.HoldUpload, stdout(name, size))
		h.MaxBytes, h.MaxBlobs = 1000, 3
		_, err := s.HoldBlobs(t.Context(), h)
		return err
	}
	// Sixteen at once get what the limit has room for.
	failed := make(chan error)
	for i := range 16 {
		go func() { failed <- upload("web1", fmt.Sprint("blob", i), 400) }()
	}
	refused := 0
	for range 16 {
		if err := <-failed; err != nil {
			wantKind(t, err, webjob.TooLarge)
			refused++
		}
	}
	wantEqual(t, refused, 14)
	wantEqual(t, storageOf(t, s, "web1"), webjob.Storage{Reserved: 800, Uploads: 2})
	must(t, upload("web2", "blob1", 400)) // another client's limit is its own
	must(t, upload("web2", "blob1", 400)) // and goes on
	must(t, upload("web2", "blob1", 401)) // it said that it is larger
	wantEqual(t, storageOf(t, s, "web2"), webjob.Storage{Reserved: 401, Uploads: 1})
	must(t, upload("web2", "a", 1))
	must(t, upload("web2", "b", 1))
	wantKind(t, upload("web2", "c", 1), webjob.TooLarge)
	must(t, s.ReleaseBlobs(t.Context(), "web2", webjob.HoldUpload, digestOf("a"), digestOf("never held")))
	must(t, upload("web2", "c", 1))

	// An end is later, never earlier; what ended counts until it is forgotten.
	h := holdFor("web3", "run", stdout("x", 10))
	first, err := s.HoldBlobs(t.Context(), h)
	must(t, err)
	h.Until = now
	second, err := s.HoldBlobs(t.Context(), h)
	must(t, err)
	wantEqual(t, second, first)
	forget := func(before time.Time, want int) {
		t.Helper()
		n, err := s.ForgetHolds(t.Context(), before, 2)
		must(t, err)
		wantEqual(t, n, want)
	}
	forget(now.Add(time.Minute), 0)
	unnamed := func(at time.Time, want ...webjob.Digest) {
		t.Helper()
		got, err := s.UnnamedBlobs(t.Context(), []webjob.Digest{digestOf("x"), digestOf("y")}, at)
		must(t, err)
		wantEqual(t, got, want)
	}
	unnamed(now.Add(time.Minute), digestOf("y"))
	unnamed(now.Add(2*time.Hour), digestOf("x"), digestOf("y"))
	wantEqual(t, storageOf(t, s, "web3").Reserved, int64(10))
	for _, want := range []int{2, 2, 2, 0} { // of web1 two, of web2 three, of web3 one
		forget(now.Add(2*time.Hour), want)
	}
	for _, client := range []string{"web1", "web2", "web3", "nobody"} {
		wantEqual(t, storageOf(t, s, client), webjob.Storage{})
	}
	third, err := s.HoldBlobs(t.Context(), h)
	must(t, err)
	if third[0] == first[0] {
		t.Error("a hold that was forgotten came back with its number")
	}
	_, err = s.AddResult(t.Context(), resultOf("run"), []webjob.Stream{stdout("x", 10)}, webjob.ResultEffects{Held: first})
	wantKind(t, err, webjob.Unavailable)
	_, err = s.AddResult(t.Context(), resultOf("run"), []webjob.Stream{stdout("other", 10)}, webjob.ResultEffects{Held: third})
	wantKind(t, err, webjob.Internal)
	_, err = s.AddResult(t.Context(), resultOf("run"), []webjob.Stream{stdout("x", 10)}, webjob.ResultEffects{})
	wantKind(t, err, webjob.Internal)
	_, err = s.Result(t.Context(), "run")
	wantKind(t, err, webjob.NotFound)

	// What is being removed cannot be held until it is gone.
	condemned, err := s.CondemnBlobs(t.Context(), []webjob.Digest{digestOf("x"), digestOf("y")}, now.Add(-time.Minute))
	must(t, err)
	wantEqual(t, condemned, []webjob.Digest{digestOf("y")})
	_, err = s.HoldBlobs(t.Context(), holdFor("web3", "run", stdout("z", 1), stdout("y", 1)))
	wantKind(t, err, webjob.Unavailable)
	unnamed(now.Add(-time.Minute), digestOf("y"))
	left, err := s.CondemnedBlobs(t.Context(), now, 9)
	must(t, err)
	wantEqual(t, left, condemned)
	left, err = s.CondemnedBlobs(t.Context(), now.Add(-time.Hour), 9)
	must(t, err)
	wantEqual(t, len(left), 0)
	must(t, s.BlobsRemoved(t.Context(), condemned))
	_, err = s.HoldBlobs(t.Context(), holdFor("web3", "run", stdout("y", 1)))
	must(t, err)
}

func storage(t *testing.T, s webjob.Store) {
	r := resultOf("run1") // 5 bytes of parts
	record := int64(len(r.Record))
	part := stdout("large", 100)
	r.Bytes += part.Size
	addWithParts(t, s, r, part)
	_, err := s.AddResult(t.Context(), r, nil, webjob.ResultEffects{}) // again: counted once
	must(t, err)
	wantEqual(t, storageOf(t, s, "web1"), webjob.Storage{Results: 1, Stored: 105 + record})
	more := resultOf("run2")
	for most, want := range map[int64]webjob.Kind{109 + 2*record: webjob.TooLarge, 110 + 2*record: ""} {
		_, err = s.AddResult(t.Context(), more, nil, webjob.ResultEffects{MaxStored: most})
		if webjob.KindOf(err) != want {
			t.Fatalf("with a limit of %d: %v", most, err)
		}
		if err == nil {
			first, err := s.WalkResults(t.Context(), 0, 9)
			must(t, err)
			_, err = s.PruneResults(t.Context(), []int64{first[len(first)-1].Sequence})
			must(t, err)
		}
	}
	wantEqual(t, storageOf(t, s, "web1"), webjob.Storage{Results: 1, Stored: 105 + record})
	// What is on its way counts, too, and becomes what is stored.
	h := holdFor("web1", "run3", stdout("b", 50))
	h.MaxBytes = 155 + record
	held, err := s.HoldBlobs(t.Context(), h)
	must(t, err)
	_, err = s.AddResult(t.Context(), more, nil, webjob.ResultEffects{MaxStored: h.MaxBytes})
	wantKind(t, err, webjob.TooLarge)
	r = resultOf("run3")
	r.Bytes = 50
	_, err = s.AddResult(t.Context(), r, []webjob.Stream{stdout("b", 50)}, webjob.ResultEffects{Held: held, MaxStored: h.MaxBytes})
	wantKind(t, err, webjob.TooLarge) // the record is in the way
	wantEqual(t, storageOf(t, s, "web1").Reserved, int64(50))
	_, err = s.AddResult(t.Context(), r, []webjob.Stream{stdout("b", 50)}, webjob.ResultEffects{Held: held, MaxStored: h.MaxBytes + record})
	must(t, err)
	wantEqual(t, storageOf(t, s, "web1"), webjob.Storage{Results: 2, Stored: 155 + 2*record})
	all, err := s.WalkResults(t.Context(), 0, 9)
	must(t, err)
	_, err = s.PruneResults(t.Context(), []int64{all[0].Sequence, all[1].Sequence})
	must(t, err)
	wantEqual(t, storageOf(t, s, "web1"), webjob.Storage{})
}

// draftHolds checks that payloads of a draft are held as long as its file is there, and are
// then named, or free.
func draftHolds(t *testing.T, s webjob.Store) {
	payload := webjob.Payload{Platform: "any", Digest: digestOf("payload"), Size: 7}
	hold := func(file string) []int64 {
		h := holdFor("", file)
		h.Blobs = []webjob.HeldBlob{{Digest: payload.Digest, Size: payload.Size}}
		held, err := s.HoldBlobs(t.Context(), h)
		must(t, err)
		return held
	}
	free := func() bool {
		t.Helper()
		unnamed, err := s.UnnamedBlobs(t.Context(), []webjob.Digest{payload.Digest}, now.Add(1000*time.Hour))
		must(t, err)
		return len(unnamed) == 1
	}
	change := func(c webjob.RepositoryChange) error { return s.ChangeRepository(t.Context(), c, now) }
	pending := &webjob.PendingAct{Act: webjob.Act{Time: now, Actor: "olga", Action: "draft.propose"}}
	_, err := s.HoldBlobs(webjob.WithAct(t.Context(), pending), webjob.Hold{Use: "draft/x", Until: now})
	must(t, err)
	wantEqual(t, pending.Recorded(), false)
	held := hold("draft/a")
	wantEqual(t, free(), true) // by then it would have ended
	must(t, change(webjob.RepositoryChange{Files: map[string][]byte{"draft/a": []byte("{}")}, Held: held}))
	wantEqual(t, free(), false)
	must(t, change(webjob.RepositoryChange{Files: map[string][]byte{"draft/a": nil}}))
	wantEqual(t, free(), true)
	wantKind(t, change(webjob.RepositoryChange{Files: map[string][]byte{"draft/a": []byte("{}")}, Held: held}), webjob.Unavailable)
	v := version("j", 1, webjob.ScopeCommon)
	v.Payloads = []webjob.Payload{payload}
	must(t, change(webjob.RepositoryChange{Files: map[string][]byte{"draft/b": nil}, Publish: []webjob.JobVersion{v}, Held: hold("draft/b")}))
	wantEqual(t, free(), false)
	names := map[webjob.Digest]int64{}
	must(t, s.BlobDigests(t.Context(), func(d webjob.Digest, size int64) error { names[d] = size; return nil }))
	wantEqual(t, slices.Collect(maps.Keys(names)), []webjob.Digest{payload.Digest})
	condemned, err := s.CondemnBlobs(t.Context(), []webjob.Digest{payload.Digest}, now.Add(1000*time.Hour))
	must(t, err)
	wantEqual(t, len(condemned), 0)
}

// A client holds so many blobs at most, for whatever it does.
func allHoldsAreBounded(t *testing.T, s webjob.Store) {
	hold := func(use string, n int) error {
		h := webjob.Hold{Owner: "web1", Use: use, Until: now.Add(time.Hour)}
		for i := range n {
			h.Blobs = append(h.Blobs, webjob.HeldBlob{Digest: webjob.DigestOf([]byte(fmt.Sprint(use, i))), Size: 1})
		}
		_, err := s.HoldBlobs(t.Context(), h)
		return err
	}
	must(t, hold("run-1", webjob.MaxHolds-1))
	wantKind(t, hold("run-2", 2), webjob.TooLarge)
	must(t, hold("run-2", 1))
}
