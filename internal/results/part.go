package results

import (
	"bytes"
	"context"
	"encoding/json"
	"io"

	"webjob.dev/webjob"
)

// OpenPart opens one part of a result.
func (k *Keeper) OpenPart(ctx context.Context, run, name string) (io.ReadSeekCloser, error) {
	result, err := k.Store.Result(ctx, run)
	if err != nil {
		return nil, err
	}
	var record webjob.Record
	if err := json.Unmarshal(result.Record, &record); err != nil {
		return nil, err
	}
	part, found := record.Part(name)
	if !found {
		return nil, webjob.Errorf(webjob.NotFound, "run %s has no part %.40q", run, name)
	}
	if !part.Inline() {
		content, _, err := k.Blobs.Open(ctx, part.Digest)
		return content, err
	}
	content, err := record.InlinePart(name, result.Inline)
	return inMemory{bytes.NewReader(content)}, err
}

// inMemory is a part that needs no closing.
type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }
