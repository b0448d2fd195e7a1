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
	u := webjob.Upload{Owner: "web1", Digest: webjob.DigestOf(content), Size: int64(len(content)), Most: 2 << 20}
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
	u := webjob.Upload{Owner: "web1", Digest: webjob.DigestOf(content), Size: 1000, Most: 1500}
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
	other := bytes.Repeat([]byte("z"), 600)
	_, err = b.Upload(t.Context(), webjob.Upload{Owner: "web1", Digest: webjob.DigestOf(other), Size: 600, Most: 1500}, bytes.NewReader(other))
	wantKind(t, err, webjob.TooLarge)
	_, err = b.Upload(t.Context(), webjob.Upload{Owner: "web2", Digest: webjob.DigestOf(other), Size: 600, Most: 1500}, bytes.NewReader(other))
	must(t, err)

	// Two connections do not write into each other.
	begun, end := make(chan struct{}), make(chan struct{})
	third := webjob.Upload{Owner: "web3", Digest: u.Digest, Size: 1000, Most: 1500}
	slow := &waitingReader{begun: begun, end: end, r: bytes.NewReader(content)}
	done := make(chan error, 1)
	go func() { _, err := b.Upload(t.Context(), third, slow); done <- err }()
	<-begun
	_, err = b.Upload(t.Context(), third, bytes.NewReader(content))
	wantKind(t, err, webjob.Unavailable)
	close(end)
	must(t, <-done)
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
