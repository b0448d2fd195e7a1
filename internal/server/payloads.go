package server

import (
	"context"
	"errors"
	"io"
	"sync"

	"webjob.dev/webjob"
)

// maxPayloads bounds the payloads that are remembered, in bytes; past it all are
// forgotten.
const maxPayloads = 64 << 20

// payloads remembers the small payloads that were asked for, so that a fleet that gets
// one job does not open its blob for every client. A digest names one content, so
// nothing that is remembered can be out of date.
type payloads struct {
	blobs webjob.Blobs

	mu      sync.RWMutex
	content map[webjob.Digest][]byte
	bytes   int
}

func newPayloads(blobs webjob.Blobs) *payloads {
	return &payloads{blobs: blobs, content: map[webjob.Digest][]byte{}}
}

// get returns a payload, which is shared and must not be changed.
func (p *payloads) get(ctx context.Context, d webjob.Digest) ([]byte, error) {
	p.mu.RLock()
	content, found := p.content[d]
	p.mu.RUnlock()
	if found {
		return content, nil
	}
	blob, size, err := p.blobs.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	content = make([]byte, size)
	_, err = io.ReadFull(blob, content)
	if err := errors.Join(err, blob.Close()); err != nil {
		return nil, webjob.Errorf(webjob.Unavailable, "payload %s: %w", d, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bytes+len(content) > maxPayloads {
		clear(p.content)
		p.bytes = 0
	}
	if _, found := p.content[d]; !found {
		p.content[d] = content
		p.bytes += len(content)
	}
	return content, nil
}
