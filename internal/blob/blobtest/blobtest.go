// Package blobtest is the contract that every implementation of [webjob.Blobs]
// passes.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"webjob.dev/webjob"
)

// Run checks the blobs that open returns; every call of open starts empty.
func Run(t *testing.T, open func(t *testing.T) webjob.Blobs) {
	for name, check := range map[string]func(*testing.T, webjob.Blobs){
		"stores and returns bytes":          storesAndReturns,
		"an unknown blob is not found":      unknownIsNotFound,
		"refuses what is not as said":       refusesLies,
		"a failed put leaves nothing":       failedPutLeavesNothing,
		"the same blob twice is one":        sameBlobTwice,
		"many writers of one blob agree":    manyWriters,
		"a cancelled put stores nothing":    cancelledPut,
		"an upload goes on where it was":    uploadGoesOn,
		"refuses uploads that do not fit":   refusesUploads,
		"many pieces are one upload":        manyPieces,
		"old blobs are listed and removed":  oldBlobs,
		"uploads are given up":              uploadsGivenUp,
		"answers a ping":                    func(t *testing.T, b webjob.Blobs) { must(t, b.Ping(t.Context())) },
		"seeks, so that ranges can be sent": seeks,
	} {
		t.Run(name, func(t *testing.T) { check(t, open(t)) })
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, kind webjob.Kind) {
	t.Helper()
	if webjob.KindOf(err) != kind {
		t.Fatalf("error is %v (kind %q), want kind %q", err, webjob.KindOf(err), kind)
	}
}

func wantAbsent(t *testing.T, b webjob.Blobs, d webjob.Digest) {
	t.Helper()
	has, err := b.Has(t.Context(), d)
	must(t, err)
	if has {
		t.Fatalf("blob %s is there", d)
	}
	_, _, err = b.Open(t.Context(), d)
	wantKind(t, err, webjob.NotFound)
}

func wantContent(t *testing.T, b webjob.Blobs, content []byte) {
	t.Helper()
	r, size, err := b.Open(t.Context(), webjob.DigestOf(content))
	must(t, err)
	got, err := io.ReadAll(r)
	must(t, errors.Join(err, r.Close()))
	if size != int64(len(content)) || !bytes.Equal(got, content) {
		t.Fatalf("got %d bytes (said %d), want %d", len(got), size, len(content))
	}
}

func put(ctx context.Context, b webjob.Blobs, content []byte) error {
	return b.Put(ctx, webjob.DigestOf(content), int64(len(content)), bytes.NewReader(content))
}

func storesAndReturns(t *testing.T, b webjob.Blobs) {
	for _, size := range []int{0, 1, 4096, 3<<20 + 17} {
		content := bytes.Repeat([]byte{byte(size), 0xff, '\n'}, size/3+1)[:size]
		must(t, put(t.Context(), b, content))
		wantContent(t, b, content)
	}
}

func unknownIsNotFound(t *testing.T, b webjob.Blobs) {
	wantAbsent(t, b, webjob.DigestOf([]byte("never stored")))
}

func refusesLies(t *testing.T, b webjob.Blobs) {
	content := []byte("the true content")
	d, size := webjob.DigestOf(content), int64(len(content))
	other := webjob.DigestOf([]byte("other content"))
	wantKind(t, b.Put(t.Context(), other, size, bytes.NewReader(content)), webjob.Invalid)
	wantKind(t, b.Put(t.Context(), d, size+1, bytes.NewReader(content)), webjob.Invalid)
	wantKind(t, b.Put(t.Context(), d, size-1, bytes.NewReader(content)), webjob.Invalid)
	wantAbsent(t, b, d)
	wantAbsent(t, b, other)
}

func failedPutLeavesNothing(t *testing.T, b webjob.Blobs) {
	content := bytes.Repeat([]byte("x"), 1<<20)
	broken := io.MultiReader(bytes.NewReader(content[:1000]), iotest.ErrReader(errors.New("connection lost")))
	err := b.Put(t.Context(), webjob.DigestOf(content), int64(len(content)), broken)
	wantKind(t, err, webjob.Invalid)
	if !strings.Contains(err.Error(), "connection lost") {
		t.Fatalf("error %q does not tell the cause", err)
	}
	wantAbsent(t, b, webjob.DigestOf(content))
}

func sameBlobTwice(t *testing.T, b webjob.Blobs) {
	content := []byte("twice")
	must(t, put(t.Context(), b, content))
	must(t, put(t.Context(), b, content))
	wantContent(t, b, content)
}

func manyWriters(t *testing.T, b webjob.Blobs) {
	content := bytes.Repeat([]byte("shared"), 10_000)
	errs := make([]error, 16)
	var writers sync.WaitGroup
	for i := range errs {
		writers.Go(func() { errs[i] = put(t.Context(), b, content) })
	}
	writers.Wait()
	must(t, errors.Join(errs...))
	wantContent(t, b, content)
}

func cancelledPut(t *testing.T, b webjob.Blobs) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	content := []byte("cancelled")
	if err := put(ctx, b, content); !errors.Is(err, context.Canceled) {
		t.Fatalf("error is %v, want context.Canceled", err)
	}
	wantAbsent(t, b, webjob.DigestOf(content))
}

func seeks(t *testing.T, b webjob.Blobs) {
	must(t, put(t.Context(), b, []byte("0123456789")))
	r, _, err := b.Open(t.Context(), webjob.DigestOf([]byte("0123456789")))
	must(t, err)
	_, err = r.Seek(7, io.SeekStart)
	must(t, err)
	rest, err := io.ReadAll(r)
	must(t, errors.Join(err, r.Close()))
	if string(rest) != "789" {
		t.Fatalf("after seeking to 7 got %q", rest)
	}
}

func uploadGoesOn(t *testing.T, b webjob.Blobs) {
	content := bytes.Repeat([]byte("0123456789"), 100_000)
	u := webjob.Upload{Owner: "web1", Digest: webjob.DigestOf(content), Size: int64(len(content))}
	wantUploaded := func(want int64) {
		t.Helper()
		have, err := b.Uploaded(t.Context(), u.Owner, u.Digest)
		if must(t, err); have != want {
			t.Fatalf("%d bytes are uploaded, want %d", have, want)
		}
	}
	wantUploaded(0)
	wantKind(t, b.Adopt(t.Context(), u.Owner, u.Digest, u.Size), webjob.NotFound)
	broken := io.MultiReader(bytes.NewReader(content[:300_000]), iotest.ErrReader(errors.New("connection lost")))
	_, err := b.Upload(t.Context(), u, broken)
	wantKind(t, err, webjob.Unavailable)
	wantUploaded(300_000)
	u.Offset = 300_000
	_, err = b.Upload(t.Context(), u, bytes.NewReader(content[300_000:500_000])) // ends early
	wantKind(t, err, webjob.Unavailable)
	wantUploaded(500_000)
	wantKind(t, b.Adopt(t.Context(), u.Owner, u.Digest, u.Size), webjob.NotFound)
	_, err = b.Upload(t.Context(), u, bytes.NewReader(content[300_000:])) // from where it is not
	wantKind(t, err, webjob.Conflict)
	u.Offset = 500_000
	have, err := b.Upload(t.Context(), u, bytes.NewReader(content[500_000:]))
	if must(t, err); have != u.Size {
		t.Fatalf("%d bytes, want %d", have, u.Size)
	}
	wantAbsent(t, b, u.Digest)
	for range 2 { // again, as after a crash
		must(t, b.Adopt(t.Context(), u.Owner, u.Digest, u.Size))
		wantContent(t, b, content)
	}
	wantKind(t, b.Adopt(t.Context(), "web2", u.Digest, u.Size), webjob.NotFound)
	u.Offset = u.Size
	have, err = b.Upload(t.Context(), u, bytes.NewReader(nil)) // complete already
	if must(t, err); have != u.Size {
		t.Fatalf("%d bytes, want %d", have, u.Size)
	}
	must(t, b.ForgetUpload(t.Context(), u.Owner, u.Digest))
	must(t, b.ForgetUpload(t.Context(), u.Owner, u.Digest))
	wantUploaded(0)
	wantContent(t, b, content)
}

func refusesUploads(t *testing.T, b webjob.Blobs) {
	content := bytes.Repeat([]byte("x"), 1000)
	u := webjob.Upload{Owner: "web1", Digest: webjob.DigestOf(content), Size: 1000}
	for name, lie := range map[string][]byte{"other bytes": bytes.Repeat([]byte("y"), 1000), "more bytes": bytes.Repeat([]byte("x"), 1001)} {
		_, err := b.Upload(t.Context(), u, bytes.NewReader(lie))
		wantKind(t, err, webjob.Invalid)
		have, err := b.Uploaded(t.Context(), u.Owner, u.Digest)
		if must(t, err); have != 0 {
			t.Fatalf("%s: %d bytes stayed", name, have)
		}
	}
	_, err := b.Upload(t.Context(), u, bytes.NewReader(content))
	must(t, err)

	// Two connections do not write into each other.
	begun, end := make(chan struct{}), make(chan struct{})
	third := webjob.Upload{Owner: "web3", Digest: u.Digest, Size: 1000}
	slow := &waitingReader{begun: begun, end: end, r: bytes.NewReader(content)}
	done := make(chan error, 1)
	go func() { _, err := b.Upload(t.Context(), third, slow); done <- err }()
	<-begun
	_, err = b.Upload(t.Context(), third, bytes.NewReader(content))
	wantKind(t, err, webjob.Conflict)
	must(t, b.GiveUpUploads(t.Context(), time.Now().Add(time.Hour))) // it is being added to
	close(end)
	must(t, <-done)
}

func manyPieces(t *testing.T, b webjob.Blobs) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 1000)
	u := webjob.Upload{Owner: "web1", Digest: webjob.DigestOf(content), Size: int64(len(content))}
	for u.Offset < u.Size {
		end := min(u.Offset+777, u.Size)
		have, err := b.Upload(t.Context(), u, bytes.NewReader(content[u.Offset:end]))
		if end < u.Size {
			wantKind(t, err, webjob.Unavailable)
		} else {
			must(t, err)
		}
		if have != end {
			t.Fatalf("%d bytes are here, want %d", have, end)
		}
		u.Offset = end
	}
	must(t, b.Adopt(t.Context(), u.Owner, u.Digest, u.Size))
	wantContent(t, b, content)
}

func oldBlobs(t *testing.T, b webjob.Blobs) {
	contents := [][]byte{[]byte("first"), []byte("second")}
	u := webjob.Upload{Owner: "web1", Digest: webjob.DigestOf(contents[1]), Size: 6}
	must(t, put(t.Context(), b, contents[0]))
	_, err := b.Upload(t.Context(), u, bytes.NewReader(contents[1]))
	must(t, err)
	must(t, b.Adopt(t.Context(), u.Owner, u.Digest, u.Size))
	_, err = b.Upload(t.Context(), webjob.Upload{Owner: "web1", Digest: webjob.DigestOf(contents[0]), Size: 5}, bytes.NewReader(contents[0]))
	must(t, err) // no blob
	listed := func(before time.Time) map[webjob.Digest]bool {
		list := map[webjob.Digest]bool{}
		must(t, b.List(t.Context(), before, func(d webjob.Digest) error {
			if list[d] {
				t.Errorf("%s is listed twice", d)
			}
			list[d] = true
			return nil
		}))
		return list
	}
	early, late := time.Now().Add(-time.Minute), time.Now().Add(time.Minute)
	if got := listed(early); len(got) != 0 {
		t.Errorf("%v are listed as old", got)
	}
	if got := listed(late); len(got) != 2 || !got[webjob.DigestOf(contents[0])] || !got[u.Digest] {
		t.Errorf("%v are listed", got)
	}
	enough := errors.New("enough")
	if err := b.List(t.Context(), late, func(webjob.Digest) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("the error of a visit became %v", err)
	}
	must(t, b.Remove(t.Context(), u.Digest, early))
	wantContent(t, b, contents[1]) // it is newer
	must(t, b.Remove(t.Context(), u.Digest, late))
	must(t, b.Remove(t.Context(), u.Digest, late))
	wantAbsent(t, b, u.Digest)
	wantContent(t, b, contents[0])
	must(t, b.Adopt(t.Context(), u.Owner, u.Digest, u.Size)) // the upload stayed
	wantContent(t, b, contents[1])
}

func uploadsGivenUp(t *testing.T, b webjob.Blobs) {
	d := webjob.DigestOf([]byte("whole"))
	for owner, content := range map[string]string{"web1": "who", "web2": "whole"} {
		_, _ = b.Upload(t.Context(), webjob.Upload{Owner: owner, Digest: d, Size: 5}, strings.NewReader(content))
	}
	wantUploaded := func(want map[string]int64) {
		t.Helper()
		for owner, bytes := range want {
			have, err := b.Uploaded(t.Context(), owner, d)
			if must(t, err); have != bytes {
				t.Errorf("%d bytes of %s are here, want %d", have, owner, bytes)
			}
		}
	}
	must(t, b.GiveUpUploads(t.Context(), time.Now().Add(-time.Minute)))
	wantUploaded(map[string]int64{"web1": 3, "web2": 5})
	must(t, b.GiveUpUploads(t.Context(), time.Now().Add(time.Minute)))
	wantUploaded(map[string]int64{"web1": 0, "web2": 0})
	wantKind(t, b.Adopt(t.Context(), "web2", d, 5), webjob.NotFound)
	_, err := b.Upload(t.Context(), webjob.Upload{Owner: "web1", Digest: d, Size: 5}, strings.NewReader("whole"))
	must(t, err) // it begins anew
}

// waitingReader says when it is first read, and goes on when it is told to.
type waitingReader struct {
	begun, end chan struct{}
	once       sync.Once
	r          io.Reader
}

func (w *waitingReader) Read(p []byte) (int, error) {
	w.once.Do(func() { close(w.begun); <-w.end })
	return w.r.Read(p)
}
