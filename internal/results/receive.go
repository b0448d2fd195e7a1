package results

import (
	"bytes"
	"context"
	"encoding/json"
	"io"

	"webjob.dev/webjob"
	"webjob.dev/webjob/wire"
)

// Receive stores a result and acknowledges it. The body is the record, of
// recordLength bytes, and its parts one after another, bodyLength bytes in all; parts
// that are resumable were uploaded before.
// It returns nil only when everything is durable. The same result again is
// acknowledged again; another one of the same run is Conflict.
func (k *Keeper) Receive(ctx context.Context, client webjob.Client, recordLength, bodyLength int64, body io.Reader) (wire.ResultResponse, error) {
	exact, record, err := k.readRecord(client, recordLength, bodyLength, body)
	if err != nil {
		return wire.ResultResponse{}, err
	}
	a := arrival{k: k, client: client, record: record, result: webjob.NewResult(record, exact, k.now())}
	if err := a.checkSize(bodyLength - recordLength); err != nil {
		return wire.ResultResponse{}, err
	}
	response := wire.ResultResponse{Run: record.Run, Record: webjob.DigestOf(exact), Received: a.result.Received}
	if known, err := a.isKnown(ctx); err != nil || known {
		if known {
			a.forgetUploads(ctx)
		}
		response.Known = known
		return response, err
	}
	if err := a.ask(ctx); err != nil {
		return wire.ResultResponse{}, err
	}
	if bodyLength-recordLength <= 2*webjob.InlinePartBytes { // a large one takes its time
		defer k.Store.ExpectResult()()
	}
	if err := a.take(ctx, body); err != nil {
		return wire.ResultResponse{}, err
	}
	added, err := k.Store.AddResult(ctx, a.result, a.blobs, a.effects)
	if err != nil {
		return wire.ResultResponse{}, err
	}
	a.forgetUploads(ctx)
	if added {
		if a.effects.Deliveries != nil {
			k.Wake()
		}
		if a.effects.OrderRun != nil {
			k.Orders.Ended(ctx, *a.effects.OrderRun)
		}
	}
	k.Received(record.Outcome, bodyLength, added)
	response.Known = !added
	return response, nil
}

// readRecord reads the record from the body and checks it.
func (k *Keeper) readRecord(client webjob.Client, recordLength, bodyLength int64, body io.Reader) ([]byte, *webjob.Record, error) {
	switch {
	case bodyLength < 0:
		return nil, nil, webjob.Errorf(webjob.Invalid, "the result has no Content-Length; send one")
	case bodyLength > k.maxResult:
		return nil, nil, k.tooLarge(bodyLength)
	case recordLength > webjob.MaxRecordBytes:
		return nil, nil, webjob.Errorf(webjob.TooLarge, "the record has %d bytes; at most %d", recordLength, webjob.MaxRecordBytes)
	case recordLength < 1 || recordLength > bodyLength:
		return nil, nil, webjob.Errorf(webjob.Invalid, "%s is %d; it must be 1 to Content-Length (%d)", wire.HeaderRecordLength, recordLength, bodyLength)
	}
	exact := make([]byte, recordLength)
	if _, err := io.ReadFull(body, exact); err != nil {
		return nil, nil, webjob.Errorf(webjob.Invalid, "the body ended inside the record: %w", err)
	}
	var record webjob.Record
	if err := json.Unmarshal(exact, &record); err != nil {
		return nil, nil, webjob.Errorf(webjob.Invalid, "the record is not readable: %w", err)
	}
	if err := record.Check(); err != nil {
		return nil, nil, err
	}
	if record.Client != client.ID {
		return nil, nil, webjob.Errorf(webjob.Refused, "the record is of client %s and the certificate of %s; a client sends only its own results", record.Client, client.ID)
	}
	return exact, &record, nil
}

func (k *Keeper) tooLarge(size int64) error {
	return webjob.Errorf(webjob.TooLarge, "the result has %d bytes; this server takes at most %d (endpoint.max_result)", size, k.maxResult)
}

// arrival is one result on its way in.
type arrival struct {
	k       *Keeper
	client  webjob.Client
	record  *webjob.Record
	result  webjob.Result
	blobs   []webjob.Stream // the parts that are not kept beside the record
	effects webjob.ResultEffects
}

// checkSize compares the parts with the bytes that follow the record.
func (a *arrival) checkSize(inBody int64) error {
	said := a.result.Bytes
	for _, part := range a.record.Parts {
		if !part.Inline() {
			a.blobs = append(a.blobs, part)
		}
		if wire.Resumable(part) {
			said -= part.Size
		}
	}
	if said != inBody {
		return webjob.Errorf(webjob.Invalid, "the parts of run %s have %d bytes in the body, the record says %d", a.record.Run, inBody, said)
	}
	if a.result.Bytes > a.k.maxResult {
		return a.k.tooLarge(a.result.Bytes)
	}
	return nil
}

// isKnown spares a large repeated upload. A small one is told apart when it is
// added.
func (a *arrival) isKnown(ctx context.Context) (bool, error) {
	if a.result.Bytes <= 2*webjob.InlinePartBytes {
		return false, nil
	}
	known, err := a.k.Store.Result(ctx, a.result.Run)
	if webjob.KindOf(err) == webjob.NotFound {
		return false, nil
	}
	return err == nil && known.Client == a.result.Client && bytes.Equal(known.Record, a.result.Record), err
}

// take reads the parts from the body and makes blobs of those that are large. It holds
// these before, and longer while it goes on.
func (a *arrival) take(ctx context.Context, body io.Reader) error {
	for _, part := range a.blobs {
		if wire.Resumable(part) {
			if err := a.checkUploaded(ctx, part); err != nil {
				return err // and nothing is held for a week
			}
		}
	}
	var err error
	if a.effects.Held, err = a.hold(ctx); err != nil {
		return err
	}
	held := a.k.now()
	for _, part := range a.record.Parts {
		if a.k.now().Sub(held) > webjob.GraceTime/4 {
			// The numbers are those of before, unless it came too late: then what names the
			// blobs is told so by these.
			if _, err := a.hold(ctx); err != nil {
				return err
			}
			held = a.k.now()
		}
		switch {
		case wire.Resumable(part):
			err = a.adopt(ctx, part)
		case !part.Inline():
			err = a.k.Blobs.Put(ctx, part.Digest, part.Size, io.LimitReader(body, part.Size))
		case part.Size > 0:
			a.result.Inline, err = appendPart(a.result.Inline, part, body)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// hold holds the large parts, which count from then on in what the client has here, and
// returns the number of each hold.
func (a *arrival) hold(ctx context.Context) ([]int64, error) {
	a.effects.MaxStored = a.k.Rules.MaxStored(a.client)
	if len(a.blobs) == 0 {
		return nil, nil
	}
	inBody := webjob.Hold{Owner: a.client.ID, Use: a.record.Run, Until: a.k.now().Add(webjob.GraceTime), MaxBytes: a.effects.MaxStored}
	uploaded := a.k.uploadHold(a.client)
	of := func(part webjob.Stream) *webjob.Hold {
		if wire.Resumable(part) {
			return &uploaded
		}
		return &inBody
	}
	for _, part := range a.blobs {
		h := of(part)
		h.Blobs = append(h.Blobs, webjob.HeldBlob{Digest: part.Digest, Size: part.Size})
	}
	numbers := map[webjob.Digest]int64{}
	for _, h := range []webjob.Hold{inBody, uploaded} {
		if len(h.Blobs) == 0 {
			continue
		}
		held, err := a.k.Store.HoldBlobs(ctx, h)
		if err != nil {
			return nil, err
		}
		for i, blob := range h.Blobs {
			numbers[blob.Digest] = held[i]
		}
	}
	var held []int64
	for _, part := range a.blobs {
		held = append(held, numbers[part.Digest])
	}
	return held, nil
}

func appendPart(inline []byte, part webjob.Stream, body io.Reader) ([]byte, error) {
	start := len(inline)
	inline = append(inline, make([]byte, part.Size)...)
	if n, err := io.ReadFull(body, inline[start:]); err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "part %s ended after %d of %d bytes: %w", part.Name, n, part.Size, err)
	}
	if got := webjob.DigestOf(inline[start:]); got != part.Digest {
		return nil, webjob.Errorf(webjob.Invalid, "part %s said to be %s is %s", part.Name, part.Digest, got)
	}
	return inline, nil
}
