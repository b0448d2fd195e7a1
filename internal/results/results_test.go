package results_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/results"
	"webjob.dev/webjob/wire"
)

// What is refused after its parts arrived counts until it is gone, and is gone soon: nobody
// fills the disk with it.
func TestRefusedResultsFillNoDisk(t *testing.T) {
	r := newRoom(t)
	r.said.maxStored = 1 << 20
	part := func(i int) string { return strings.Repeat(fmt.Sprintf("%03d", i), 34_000) } // 102,000 bytes
	taken := 0
	for i := range 50 {
		record, body := resultOf(t, fmt.Sprint("run", i), part(i), "stderr")
		body[len(body)-1] = 'X' // not what the record says
		whole := append(record, body...)
		_, err := r.Receive(t.Context(), web1, int64(len(record)), int64(len(whole)), bytes.NewReader(whole))
		if webjob.KindOf(err) == webjob.TooLarge {
			if !strings.Contains(err.Error(), "it may have 1048576") {
				t.Errorf("it is told %q", err)
			}
			continue
		}
		wantKind(t, err, webjob.Invalid)
		taken++
	}
	if taken != 10 || !r.has(part(0)) {
		t.Errorf("%d were taken, want as many as the limit has room for", taken)
	}
	r.pass(30 * time.Minute)
	if !r.has(part(0)) || r.storage().Reserved != 10*102_000 {
		t.Errorf("within the grace time: %+v", r.storage())
	}
	r.pass(3 * time.Hour)
	if r.has(part(0)) || r.storage() != (webjob.Storage{}) {
		t.Errorf("after the grace time: %+v", r.storage())
	}
	_, err := r.send(r.Keeper, "run", part(0))
	must(t, err)
	if got := r.storage(); got.Results != 1 || got.Reserved != 0 || got.Stored < 102_000 {
		t.Errorf("a good one: %+v", got)
	}
	for range 2 { // the same upload again and again is one
		_, err = r.send(r.Keeper, "run", part(0))
		must(t, err)
	}
}

// Parallel uploads of one client pass its limit no more than single ones, nor after a
// restart; an upload that was given up counts no more.
func TestUploadsAreReserved(t *testing.T) {
	r := newRoom(t)
	r.said.maxStored = 3 * wire.ResumableBytes
	content := func(i int) string { return fmt.Sprint(i) + strings.Repeat("u", wire.ResumableBytes) }
	size := int64(len(content(0)))
	failed := make(chan error)
	for i := range 9 {
		go func() { // declares all of it, and sends a little
			u := webjob.Upload{Digest: webjob.DigestOf([]byte(content(i))), Size: size}
			_, err := r.Upload(t.Context(), web1, u, strings.NewReader(content(i)[:1000]))
			failed <- err
		}()
	}
	kinds := map[webjob.Kind]int{}
	for range 9 {
		kinds[webjob.KindOf(<-failed)]++
	}
	if kinds[webjob.Unavailable] != 2 || kinds[webjob.TooLarge] != 7 {
		t.Errorf("%v; there is room for two", kinds)
	}
	again := r.with(r.store, r.blobs)
	_, err := again.Upload(t.Context(), web1, webjob.Upload{Digest: webjob.DigestOf([]byte("new")), Size: size}, strings.NewReader("x"))
	wantKind(t, err, webjob.TooLarge)
	if got := r.storage(); got.Uploads != 2 || got.Reserved != 2*size {
		t.Errorf("%+v", got)
	}
	r.pass(8 * 24 * time.Hour)
	r.pass(3 * time.Hour)
	if got := r.storage(); got != (webjob.Storage{}) {
		t.Errorf("given up: %+v", got)
	}
	must(t, r.upload(content(1)))
	_, err = r.send(r.Keeper, "run", "", "", content(1))
	must(t, err)
	if got := r.storage(); got.Uploads != 0 || got.Reserved != 0 || got.Results != 1 {
		t.Errorf("stored: %+v", got)
	}
	_, err = r.send(r.Keeper, "run2", "", "", content(2)) // and nothing is held for what did not come
	wantKind(t, err, webjob.Unavailable)
	if got := r.storage(); got.Reserved != 0 {
		t.Errorf("%+v", got)
	}
	for i := range results.MaxUploads + 1 {
		r.said.maxStored = 1 << 50
		d := webjob.DigestOf([]byte(fmt.Sprint("small", i)))
		_, err = r.Upload(t.Context(), web1, webjob.Upload{Digest: d, Size: wire.ResumableBytes}, strings.NewReader("x"))
	}
	wantKind(t, err, webjob.TooLarge)
}

// A client may take longer than the grace time for its result while blobs are swept. When
// one part takes as long, what came before it is gone, and the client is told.
func TestSlowResult(t *testing.T) {
	for pause, want := range map[time.Duration]webjob.Kind{40 * time.Minute: "", 2 * time.Hour: webjob.Unavailable} {
		t.Run(pause.String(), func(t *testing.T) {
			r := newRoom(t)
			parts := []string{strings.Repeat("x", 50_000), strings.Repeat("y", 50_000), strings.Repeat("z", 50_000)}
			record, _ := resultOf(t, "run", parts...)
			readers := []io.Reader{bytes.NewReader(record)}
			for i, part := range parts {
				passes := readerFunc(func([]byte) (int, error) {
					if i == len(parts)-1 {
						return 0, io.EOF // the last one comes at once
					}
					r.at = r.at.Add(pause)
					must(t, r.Sweep(t.Context(), r.at))
					return 0, io.EOF
				})
				readers = append(readers, strings.NewReader(part[:1000]), passes, strings.NewReader(part[1000:]))
			}
			r.at = time.Now()
			_, err := r.Receive(t.Context(), web1, int64(len(record)), int64(len(record)+150_000), io.MultiReader(readers...))
			wantKind(t, err, want)
			_, err = r.send(r.Keeper, "run", parts...)
			must(t, err)
			part, err := r.OpenPart(t.Context(), "run", webjob.Stdout)
			must(t, err)
			must(t, part.Close())
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Results go when the rules of that moment say so, whatever they said before.
func TestRetention(t *testing.T) {
	r := newRoom(t)
	r.said.keep, r.said.rules = 2*time.Hour, "two hours"
	large := strings.Repeat("x", 50_000)
	_, err := r.send(r.Keeper, "run1", large)
	must(t, err)
	has := func(run string) bool {
		_, err := r.store.Result(t.Context(), run)
		return err == nil
	}
	r.said.keep, r.said.rules = 10*time.Hour, "ten hours" // before it is due
	r.pass(3 * time.Hour)
	if !has("run1") {
		t.Fatal("it went by rules that hold no more")
	}
	r.said.keep, r.said.rules = 0, ""
	r.pass(8 * time.Hour)
	if !has("run1") || !r.has(large) {
		t.Fatal("it went though it is kept for good")
	}
	r.said.keep, r.said.rules = 12*time.Hour, "twelve hours"
	r.pass(time.Minute)
	if !has("run1") {
		t.Fatal("it went too early")
	}
	r.said.keepFor = map[string]time.Duration{"web1": time.Hour} // as by another label: the rules are the same
	r.pass(24 * time.Hour)
	if has("run1") || r.has(large) {
		t.Errorf("a day later the result is there: %v, its blob: %v", has("run1"), r.has(large))
	}
	if got := r.storage(); got != (webjob.Storage{}) {
		t.Errorf("%+v", got)
	}
}

// Any number of results goes in one round, batch by batch, and others come in meanwhile.
func TestManyResultsGo(t *testing.T) {
	r := newRoom(t)
	r.said.keep, r.said.rules = time.Hour, "an hour"
	var work sync.WaitGroup
	for i := range 230 {
		work.Go(func() {
			if _, err := r.send(r.Keeper, fmt.Sprint("run", i), "x"); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	r.pass(2 * time.Hour)
	if got := r.storage(); got != (webjob.Storage{}) {
		t.Errorf("left: %+v", got)
	}
	must(t, r.Tidy(t.Context(), r.at))
}

// A hook refuses before anything is stored or held.
func TestRefusedByHook(t *testing.T) {
	r := newRoom(t)
	r.said.refuse = webjob.Errorf(webjob.Refused, "no")
	large := strings.Repeat("x", 50_000)
	_, err := r.send(r.Keeper, "run", large)
	wantKind(t, err, webjob.Refused)
	if r.has(large) || r.storage() != (webjob.Storage{}) {
		t.Errorf("%+v", r.storage())
	}
}

// Events are kept for each trigger and read many at a time: a client does not make them large.
func TestEventsAreSmall(t *testing.T) {
	r := newRoom(t)
	r.said.tell = true
	for run, arguments := range map[string][]string{
		"taken": {"-v", strings.Repeat("x", 1000)}, "long": {strings.Repeat("x", 500_000)}, "many": make([]string, 100_000),
	} {
		record, err := json.Marshal(webjob.Record{
			Format: webjob.RecordFormat, Run: run, Client: web1.ID, Job: "job", Outcome: webjob.RunRefused, Platform: "linux/amd64",
			Arguments: arguments, Reason: strings.Repeat("é", 100_000),
		})
		must(t, err)
		_, err = r.Receive(t.Context(), web1, int64(len(record)), int64(len(record)), bytes.NewReader(record))
		must(t, err)
	}
	due, err := r.store.DueDeliveries(t.Context(), "t", time.Now().Add(time.Hour), 100)
	must(t, err)
	if len(due) != 6 { // put and failure
		t.Errorf("%d deliveries", len(due))
	}
	for _, d := range due {
		text, err := json.Marshal(d.Event)
		must(t, err)
		if taken := d.Event.Run == "taken"; len(text) > 10_000 || taken != (len(d.Event.Arguments) == 2) || !strings.HasSuffix(d.Event.Reason, "é") {
			t.Errorf("the event of %s has %d bytes and %d arguments", d.Event.Run, len(text), len(d.Event.Arguments))
		}
	}
}

// Parts come back as they were sent, small and large ones.
func TestParts(t *testing.T) {
	r := newRoom(t)
	parts := []string{"small", strings.Repeat("middle", 10_000), strings.Repeat("l", wire.ResumableBytes)}
	must(t, r.upload(parts[2]))
	_, err := r.send(r.Keeper, "run", parts...)
	must(t, err)
	for i, name := range []string{webjob.Stdout, webjob.Stderr, webjob.Contents} {
		content, err := r.OpenPart(t.Context(), "run", name)
		must(t, err)
		got, err := io.ReadAll(content)
		must(t, errors.Join(err, content.Close()))
		if string(got) != parts[i] {
			t.Errorf("part %s has %d bytes, want %d", name, len(got), len(parts[i]))
		}
	}
	_, err = r.OpenPart(t.Context(), "run", "other")
	wantKind(t, err, webjob.NotFound)
	_, err = r.OpenPart(t.Context(), "unknown", webjob.Stdout)
	wantKind(t, err, webjob.NotFound)
}
