package operator

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
)

// Results reads what clients sent, checked against their records.
type Results struct{ session *Session }

// Get gets a result and its record.
func (r Results) Get(ctx context.Context, run string) (api.ResultDetail, *webjob.Record, error) {
	var detail api.ResultDetail
	if err := webjob.CheckRunID(run); err != nil {
		return detail, nil, err
	}
	if err := r.session.Call(ctx, http.MethodGet, api.ResultPath(run), nil, nil, &detail); err != nil {
		return detail, nil, err
	}
	var record webjob.Record
	if err := json.Unmarshal(detail.Record, &record); err != nil {
		return detail, nil, webjob.Errorf(webjob.Invalid, "the record of run %s is not readable: %w", run, err)
	}
	return detail, &record, record.Check()
}

// WritePart writes one part of a result to w and checks that it is what the record
// says.
func (r Results) WritePart(ctx context.Context, record *webjob.Record, part webjob.Stream, w io.Writer) error {
	response, err := r.session.Send(ctx, http.MethodGet, api.ResultPath(record.Run, "parts", part.Name), nil, nil, -1)
	if err != nil {
		return err
	}
	digester := webjob.NewDigester()
	_, err = io.Copy(io.MultiWriter(w, digester), io.LimitReader(response.Body, part.Size+1))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return webjob.Errorf(webjob.Unavailable, "%s of run %s: %w", part.Name, record.Run, err)
	}
	if digester.Digest() != part.Digest {
		return webjob.Errorf(webjob.Refused, "%s of run %s is %s and the record says %s; the server's copy was changed",
			part.Name, record.Run, digester.Digest(), part.Digest)
	}
	return nil
}

// Save writes the record and every part, exactly as they were, to new files
// in dir, which it makes. Files that are there already are never overwritten.
func (r Results) Save(ctx context.Context, run, dir string) ([]string, error) {
	detail, record, err := r.Get(ctx, run)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "%w", err)
	}
	var saved []string
	save := func(name string, write func(io.Writer) error) error {
		file := filepath.Join(dir, name)
		if err := saveNew(file, write); err != nil {
			return err
		}
		saved = append(saved, file)
		return nil
	}
	err = save("record.json", func(w io.Writer) error { _, err := w.Write(detail.Record); return err })
	for _, part := range record.Parts {
		if err == nil {
			err = save(part.Name, func(w io.Writer) error { return r.WritePart(ctx, record, part, w) })
		}
	}
	return saved, err
}
