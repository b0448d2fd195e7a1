package publish

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/blob/files"
)

// Payloads that were served are remembered in bounded memory, and one that was
// forgotten is read again.
func TestPayloadsAreRememberedInBoundedMemory(t *testing.T) {
	blobs, err := files.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPayloads(blobs)
	if err != nil {
		t.Fatal(err)
	}
	var digests []webjob.Digest
	content := make([]byte, 1<<20)
	for i := range maxPayloads/len(content) + 3 {
		binary.BigEndian.PutUint32(content, uint32(i)) //nolint:gosec // a few dozen
		d := webjob.DigestOf(content)
		if err := blobs.Put(t.Context(), d, int64(len(content)), bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		digests = append(digests, d)
	}
	for range 2 {
		for i, d := range digests {
			got, err := p.get(t.Context(), d)
			if err != nil || webjob.DigestOf(got) != d {
				t.Fatalf("payload %d: %v", i, err)
			}
			held := 0
			for _, content := range p.cache.Values() {
				held += len(content)
			}
			if held != p.bytes || held > maxPayloads {
				t.Fatalf("after payload %d: %d bytes are held and %d counted; at most %d", i, held, p.bytes, maxPayloads)
			}
		}
	}
	if err := blobs.Remove(t.Context(), digests[len(digests)-1], time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.get(t.Context(), digests[len(digests)-1]); err != nil {
		t.Fatal("the payload served last was not remembered:", err)
	}
}
