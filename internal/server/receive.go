package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/rules"
	"webjob.dev/webjob/wire"
)

// Receive stores a result and acknowledges it. The body is the record, of
// recordLength bytes, and its parts one after another, bodyLength bytes in all; parts
// that are resumable were uploaded before.
// It returns nil only when everything is durable. The same result again is
// acknowledged again; another one of the same run is Conflict.
func (s *Server) Receive(ctx context.Context, client webjob.Client, recordLength, bodyLength int64, body io.Reader) (wire.ResultResponse, error) {
	exact, record, err := s.readRecord(client, recordLength, bodyLength, body)
	if err != nil {
		return wire.ResultResponse{}, err
	}
	received := now()
	result := webjob.NewResult(record, exact, received)
	inBody := result.Bytes
	for _, part := range record.Parts {
		if wire.Resumable(part) {
			inBody -= part.Size
		}
	}
	if inBody != bodyLength-recordLength {
		return wire.ResultResponse{}, webjob.Errorf(webjob.Invalid,
			"the parts of run %s have %d bytes in the body, the record says %d", record.Run, bodyLength-recordLength, inBody)
	}
	if limit := int64(s.settings.Endpoint.MaxResult); result.Bytes > limit {
		return wire.ResultResponse{}, webjob.Errorf(webjob.TooLarge, "the result has %d bytes; this server takes at most %d (endpoint.max_result)", result.Bytes, limit)
	}
	response := wire.ResultResponse{Run: record.Run, Record: webjob.DigestOf(exact), Received: received}
	if known, err := s.isKnown(ctx, result); err != nil || known {
		if known {
			s.forgetUploads(ctx, client, record.Parts)
		}
		response.Known = known
		return response, err
	}
	effects, err := s.effectsOf(ctx, client, record, received)
	if err != nil {
		return wire.ResultResponse{}, err
	}
	if bodyLength-recordLength <= 2*webjob.InlinePartBytes { // a large one takes its time
		defer s.store.ExpectResult()()
	}
	var blobs []webjob.Stream
	for _, part := range record.Parts {
		switch {
		case wire.Resumable(part):
			blobs = append(blobs, part)
		case !part.Inline():
			if err := s.blobs.Put(ctx, part.Digest, part.Size, io.LimitReader(body, part.Size)); err != nil {
				return wire.ResultResponse{}, err
			}
			blobs = append(blobs, part)
		case part.Size > 0:
			if result.Inline, err = appendPart(result.Inline, part, body); err != nil {
				return wire.ResultResponse{}, err
			}
		}
	}
	s.blobUse.RLock() // not before: a client may take its time to send
	defer s.blobUse.RUnlock()
	for _, part := range blobs {
		if err := s.claim(ctx, client, part); err != nil {
			return wire.ResultResponse{}, err
		}
	}
	added, err := s.store.AddResult(ctx, result, blobs, effects)
	if err != nil {
		return wire.ResultResponse{}, err
	}
	s.forgetUploads(ctx, client, record.Parts)
	if added {
		if effects.Deliveries != nil {
			s.outbox.Wake()
		}
		if effects.OrderRun != nil {
			s.dispatcher.Ended(ctx, *effects.OrderRun)
		}
	}
	s.metrics.received(record.Outcome, bodyLength, added)
	response.Known = !added
	return response, nil
}

// claim makes sure that a part is a blob, one that was uploaded before too.
func (s *Server) claim(ctx context.Context, client webjob.Client, part webjob.Stream) error {
	if wire.Resumable(part) {
		err := s.blobs.Adopt(ctx, client.ID, part.Digest, part.Size)
		if webjob.KindOf(err) == webjob.NotFound {
			return webjob.Errorf(webjob.Unavailable, "part %s was not uploaded yet: %w; upload it, and send the result again", part.Name, err)
		}
		return err
	}
	there, err := s.blobs.Has(ctx, part.Digest)
	if err == nil && !there { // another result with the same content was removed after its retention
		return webjob.Errorf(webjob.Unavailable, "part %s was removed meanwhile; send the result again", part.Name)
	}
	return err
}

// forgetUploads removes what a stored result came from. What stays after an error is
// given up with time.
func (s *Server) forgetUploads(ctx context.Context, client webjob.Client, parts []webjob.Stream) {
	for _, part := range parts {
		if !wire.Resumable(part) {
			continue
		}
		if err := s.blobs.ForgetUpload(ctx, client.ID, part.Digest); err != nil {
			s.log.Warn("an upload was not removed", "client", client.ID, "digest", part.Digest, "error", err)
		}
	}
}

// effectsOf asks the hooks of a put, and gathers what goes with the result.
func (s *Server) effectsOf(ctx context.Context, client webjob.Client, record *webjob.Record, received time.Time) (webjob.ResultEffects, error) {
	var effects webjob.ResultEffects
	order, owner, at, found := webjob.ParseRunID(record.Run)
	if found && record.Order == order {
		if owner != client.ID {
			return effects, webjob.Errorf(webjob.Refused, "run %s is of client %s, not of %s", record.Run, owner, client.ID)
		}
		effects.OrderRun = &webjob.OrderRun{
			Run: record.Run, Order: order, Client: owner, At: at, Rank: webjob.MaxOrderRuns, State: webjob.StateOf(record.Outcome), Updated: received,
		}
		effects.AddRun = s.dispatcher.Keeps(order, client)
	}
	if s.rules.None() {
		return effects, nil
	}
	event := rules.NewEvent(webjob.OnPut, client)
	event.Job, event.Version, event.Run, event.Order, event.Arguments = record.Job, record.Version, record.Run, record.Order, record.Arguments
	event.Outcome, event.ExitStatus, event.Reason = record.Outcome, record.ExitStatus, record.Reason
	if stdout, found := record.Part(webjob.Stdout); found {
		event.Stdout = stdout.Digest
	}
	said, err := s.rules.Ask(ctx, event, client)
	if err != nil {
		return effects, err
	}
	effects.Notes = said.Notes
	subject := client.Subject()
	follows := event.Stdout != "" && record.Outcome != webjob.NotStarted && record.Outcome != webjob.RunRefused && s.rules.Follows(record.Job, subject)
	if follows {
		effects.Output = event.Stdout
	}
	effects.Deliveries = func(before webjob.Digest) []webjob.Delivery {
		list := s.rules.Deliveries(event, subject)
		tell := func(kind webjob.EventKind) {
			other := event
			other.Kind, other.ID, other.Before = kind, event.ID+"-"+string(kind), before
			list = append(list, s.rules.Deliveries(other, subject)...)
		}
		if record.Outcome != webjob.Succeeded {
			tell(webjob.OnFailure)
		}
		if follows && before != event.Stdout {
			tell(webjob.OnDiff)
		}
		return list
	}
	return effects, nil
}

func (s *Server) readRecord(client webjob.Client, recordLength, bodyLength int64, body io.Reader) ([]byte, *webjob.Record, error) {
	switch limit := int64(s.settings.Endpoint.MaxResult); {
	case bodyLength < 0:
		return nil, nil, webjob.Errorf(webjob.Invalid, "the result has no Content-Length; send one")
	case bodyLength > limit:
		return nil, nil, webjob.Errorf(webjob.TooLarge, "the result has %d bytes; this server takes at most %d (endpoint.max_result)", bodyLength, limit)
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

// isKnown spares a large repeated upload. A small one is told apart when it is
// added.
func (s *Server) isKnown(ctx context.Context, r webjob.Result) (bool, error) {
	if r.Bytes <= 2*webjob.InlinePartBytes {
		return false, nil
	}
	known, err := s.store.Result(ctx, r.Run)
	if webjob.KindOf(err) == webjob.NotFound {
		return false, nil
	}
	return err == nil && known.Client == r.Client && bytes.Equal(known.Record, r.Record), err
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

// OpenPart opens one part of a result.
func (s *Server) OpenPart(ctx context.Context, run, name string) (io.ReadSeekCloser, error) {
	result, err := s.store.Result(ctx, run)
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
		content, _, err := s.blobs.Open(ctx, part.Digest)
		return content, err
	}
	content, err := record.InlinePart(name, result.Inline)
	return inMemory{bytes.NewReader(content)}, err
}
