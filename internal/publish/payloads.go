package publish

import (
	"context"
	"errors"
	"io"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"webjob.dev/webjob"
)

// maxPayloads bounds the payloads that are remembered, in bytes, and maxPayloadCount
// their number.
const (
	maxPayloads     = 64 << 20
	maxPayloadCount = 10_000
)

// payloads remembers the small payloads that were asked for last, so that a fleet that
// gets one job does not open its blob for every client. A digest names one content, so
// nothing that is remembered can be out of date.
type payloads struct {
	blobs webjob.Blobs
	cache *lru.Cache[webjob.Digest, []byte]

	mu    sync.Mutex // of additions
	bytes int
}

func newPayloads(blobs webjob.Blobs) (*payloads, error) {
	p := &payloads{blobs: blobs}
	var err error
	p.cache, err = lru.NewWithEvict(maxPayloadCount, func(_ webjob.Digest, content []byte) { p.bytes -= len(content) })
	return p, err
}

// get returns a payload, which is shared and must not be changed.
func (p *payloads) get(ctx context.Context, d webjob.Digest) ([]byte, error) {
	if content, found := p.cache.Get(d); found {
		return content, nil
	}
	blob, size, err := p.blobs.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	content := make([]byte, size)
	_, err = io.ReadFull(blob, content)
	if err := errors.Join(err, blob.Close()); err != nil {
		return nil, webjob.Errorf(webjob.Unavailable, "payload %s: %w", d, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cache.Contains(d) {
		return content, nil
	}
	p.bytes += len(content)
	p.cache.Add(d, content)
	for p.bytes > maxPayloads {
		p.cache.RemoveOldest()
	}
	return content, nil
}
