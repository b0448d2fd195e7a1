// Package upload is the PUT stage: it sends a spooled result to its server and
// removes it from the spool when, and only when, the server has acknowledged
// exactly that result.
package upload

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint/spool"
	"webjob.dev/webjob/wire"
)

// expectContinueBytes is the body size from which the server is asked first
// whether it wants the body.
const expectContinueBytes = 256 << 10

// attempts is how often one Send tries a server that does not answer. After that
// the result waits in the spool.
const attempts = 3

// maxAcknowledgement bounds what is read of an answer.
const maxAcknowledgement = 64 << 10

// Send uploads the entry's result and removes the entry when the server has
// acknowledged it. On any error the result stays in the spool. Either way the
// entry is unlocked.
func Send(ctx context.Context, c *wire.Client, e *spool.Entry) error {
	result, err := e.Open()
	if err != nil {
		return errors.Join(err, e.Unlock())
	}
	err = put(ctx, c, result)
	for attempt := 1; attempt < attempts && webjob.KindOf(err) == webjob.Unavailable && pause(ctx, attempt); attempt++ {
		result.Rewind()
		err = put(ctx, c, result)
	}
	if err := errors.Join(err, result.Close()); err != nil {
		return errors.Join(err, e.Unlock())
	}
	return e.Remove()
}

// pause waits a second or two, by chance, and longer each time, so that clients
// that failed together do not come back together. It reports false when ctx ends first.
func pause(ctx context.Context, attempt int) bool {
	base := time.Duration(attempt) * time.Second
	timer := time.NewTimer(base/2 + rand.N(base))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func put(ctx context.Context, c *wire.Client, result *spool.Result) error {
	for _, part := range result.Large {
		if err := sendLarge(ctx, c, part); err != nil {
			return err
		}
	}
	header := http.Header{}
	header.Set("Content-Type", wire.ContentTypeResult)
	header.Set(wire.HeaderRecordLength, strconv.Itoa(len(result.Exact)))
	if result.Length > expectContinueBytes {
		header.Set("Expect", "100-continue")
	}
	response, err := c.Send(ctx, http.MethodPost, wire.PathResults, header, result.Body, result.Length)
	if err != nil {
		return err
	}
	var acknowledgement wire.ResultResponse
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAcknowledgement))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return webjob.Errorf(webjob.Unavailable, "the acknowledgement of run %s was cut off: %w", result.Record.Run, err)
	}
	if json.Unmarshal(answer, &acknowledgement) != nil ||
		acknowledgement.Run != result.Record.Run || acknowledgement.Record != webjob.DigestOf(result.Exact) {
		return webjob.Errorf(webjob.Refused, "%s acknowledged something else than run %s; the result is kept", c.Base(), result.Record.Run)
	}
	return nil
}

// sendLarge uploads a part from where the server has it.
func sendLarge(ctx context.Context, c *wire.Client, part spool.Large) error {
	var have wire.UploadResponse
	if err := c.Call(ctx, http.MethodGet, wire.UploadPath(part.Digest), nil, nil, &have); err != nil {
		return err
	}
	if have.Offset < 0 || have.Offset > part.Size {
		return webjob.Errorf(webjob.Refused, "%s has %d bytes of part %s, which has %d", c.Base(), have.Offset, part.Name, part.Size)
	}
	header := http.Header{
		"Content-Type": {"application/octet-stream"}, "Expect": {"100-continue"},
		wire.HeaderUploadOffset: {strconv.FormatInt(have.Offset, 10)}, wire.HeaderUploadLength: {strconv.FormatInt(part.Size, 10)},
	}
	remaining := part.Size - have.Offset
	body := io.Reader(http.NoBody) // all is there: the server checks it
	if remaining > 0 {
		body = io.NewSectionReader(part.Content, have.Offset, remaining)
	} else {
		header.Del("Expect")
	}
	response, err := c.Send(ctx, http.MethodPatch, wire.UploadPath(part.Digest), header, body, remaining)
	if webjob.KindOf(err) == webjob.Conflict { // it goes on elsewhere than it said a moment ago
		return webjob.Errorf(webjob.Unavailable, "part %s: %w", part.Name, err)
	}
	if err != nil {
		return err
	}
	return response.Body.Close()
}
