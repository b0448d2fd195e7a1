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
