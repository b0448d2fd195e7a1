package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"strings"

	"webjob.dev/webjob"
)

// sequenceSlack is how far apart the order of sequences and of receiving times
// can be: more than the changes that can wait at once.
const sequenceSlack = 2 * maxWaiting

// ExpectResult implements [webjob.Results].
func (s resultTable) ExpectResult() (done func()) {
	s.writer.expected.Add(1)
	return func() { s.writer.expected.Add(-1) }
}

// AddResult implements [webjob.Results].
func (s resultTable) AddResult(ctx context.Context, r webjob.Result, blobs []webjob.Stream, effects webjob.ResultEffects) (added bool, err error) {
	inline := r.Inline
	if inline == nil {
		inline = []byte{}
	}
	err = s.quietly(ctx, func(ctx context.Context, c *conn) error {
		inserted, err := c.ExecContext(ctx, `INSERT INTO results
			(run, client, job, version, outcome, exit_status, started, duration_ms, received, bytes, keep_until, record, inline)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run) DO NOTHING`,
			r.Run, r.Client, r.Job, r.Version, r.Outcome, r.ExitStatus, r.Started.UnixMicro(), r.DurationMS,
			micros(r.Received), r.Bytes, micros(r.KeepUntil), r.Record, inline)
		if err != nil {
			return err
		}
		if n, err := inserted.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return sameResult(ctx, c, r)
		}
		sequence, err := inserted.LastInsertId()
		if err != nil {
			return err
		}
		if err := nameBlobs(ctx, c, sequence, blobs, effects.Held); err != nil {
			return err
		}
		if err := countResult(ctx, c, r, effects.MaxStored); err != nil {
			return err
		}
		added = true
		return applyEffects(ctx, c, r, effects)
	})
	return added && err == nil, err
}

// countResult adds a result to what its client has, within the limit.
func countResult(ctx context.Context, c *conn, r webjob.Result, most int64) error {
	counted, err := affected(c.ExecContext(ctx, `UPDATE client_storage SET results = results + 1, stored = stored + ?2
		WHERE client = ?1 AND (?3 = 0 OR stored + reserved + ?2 <= ?3)`, r.Client, r.Stored(), most))
	if err != nil || counted == 1 {
		return err
	}
	// Its first one, or one too many.
	var stored, reserved int64
	err = c.QueryRowContext(ctx, `INSERT INTO client_storage (client, results, stored, reserved, holds) VALUES (?1, 1, ?2, 0, 0)
		ON CONFLICT (client) DO UPDATE SET stored = stored + ?2 RETURNING stored, reserved`, r.Client, r.Stored()).Scan(&stored, &reserved)
	if err == nil && most > 0 && stored+reserved > most {
		return overLimit(r.Client, stored, reserved, most)
	}
	return err
}

// nameBlobs says which blobs a result needs, and ends the holds under which they came.
func nameBlobs(ctx context.Context, c *conn, sequence int64, blobs []webjob.Stream, held []int64) error {
	if len(blobs) == 0 {
		return nil // as of most results
	}
	if len(held) != len(blobs) {
		return webjob.Errorf(webjob.Internal, "%d holds of %d blobs", len(held), len(blobs))
	}
	for i, blob := range blobs {
		if err := checkHoldOf(ctx, c, held[i], blob.Digest); err != nil {
			return err
		}
		if _, err := c.ExecContext(ctx, `INSERT INTO result_blobs (sequence, part, digest, size) VALUES (?, ?, ?, ?)`,
			sequence, blob.Name, blob.Digest, blob.Size); err != nil {
			return err
		}
	}
	for _, number := range held {
		if _, err := endHolds(ctx, c, `number = ?`, number); err != nil {
			return err
		}
	}
	return nil
}

// applyEffects makes the changes that go with a new result.
func applyEffects(ctx context.Context, c *conn, r webjob.Result, effects webjob.ResultEffects) error {
	if effects.OrderRun != nil {
		if err := endOrderRun(ctx, c, *effects.OrderRun, effects.AddRun); err != nil {
			return err
		}
	}
	if err := insertNotes(ctx, c, "", r.Run, effects.Notes); err != nil {
		return err
	}
	var before webjob.Digest
	if effects.Output != "" {
		var err error
		if before, err = followOutput(ctx, c, r.Client, r.Job, effects.Output); err != nil {
			return err
		}
	}
	if effects.Deliveries == nil {
		return nil
	}
	return insertRequested(ctx, c, effects.Deliveries(before))
}

// sameResult accepts a repeated upload and nothing else.
func sameResult(ctx context.Context, c *conn, r webjob.Result) error {
	var client string
	var record []byte
	if err := c.QueryRowContext(ctx, `SELECT client, record FROM results WHERE run = ?`, r.Run).Scan(&client, &record); err != nil {
		return err
	}
	if client != r.Client || !bytes.Equal(record, r.Record) {
		return webjob.Errorf(webjob.Conflict, "run %s has another result already; results are never changed", r.Run)
	}
	return nil
}

const resultColumns = `sequence, run, client, job, version, outcome, exit_status, started, duration_ms, received, bytes, keep_until`

func scanResult(row scanner, more ...any) (webjob.Result, error) {
	var r webjob.Result
	var status, started, received, until sql.NullInt64
	err := row.Scan(append([]any{&r.Sequence, &r.Run, &r.Client, &r.Job, &r.Version, &r.Outcome, &status, &started, &r.DurationMS, &received, &r.Bytes, &until}, more...)...)
	if status.Valid {
		n := int(status.Int64)
		r.ExitStatus = &n
	}
	r.Started, r.Received, r.KeepUntil = fromMicros(started), fromMicros(received), fromMicros(until)
	return r, err
}

func scanRow(row scanner) (webjob.Result, error) { return scanResult(row) }

// Result implements [webjob.Results].
func (s resultTable) Result(ctx context.Context, run string) (webjob.Result, error) {
	var record, inline []byte
	r, err := scanResult(s.read.QueryRowContext(ctx, `SELECT `+resultColumns+`, record, inline FROM results WHERE run = ?`, run), &record, &inline)
	r.Record, r.Inline = record, inline
	return r, one(err, "run %s has no result here", run)
}

// ListResults implements [webjob.Results]. Lists go by sequence; a time is first
// turned into the sequence around it, so that a page costs its own rows only.
func (s resultTable) ListResults(ctx context.Context, f webjob.ResultFilter) ([]webjob.Result, error) {
	var where []string
	var args []any
	add := func(condition string, values ...any) {
		where = append(where, condition)
		args = append(args, values...)
	}
	if f.Page.After != "" {
		add(`sequence < CAST(? AS INTEGER)`, f.Page.After)
	}
	if f.Client != "" {
		add(`client = ?`, f.Client)
	}
	if f.Job != "" {
		add(`job = ?`, f.Job)
	}
	if f.Outcome != "" {
		add(`outcome = ?`, f.Outcome)
	}
	if !f.Since.IsZero() {
		add(`+received >= ?`, f.Since.UnixMicro())
		add(`sequence >= coalesce((SELECT sequence FROM results WHERE received >= ? ORDER BY received LIMIT 1), 0) - ?`, f.Since.UnixMicro(), sequenceSlack)
	}
	if !f.Until.IsZero() {
		add(`+received < ?`, f.Until.UnixMicro())
		add(`sequence <= coalesce((SELECT sequence FROM results WHERE received < ? ORDER BY received DESC LIMIT 1), 0) + ?`, f.Until.UnixMicro(), sequenceSlack)
	}
	query := `SELECT ` + resultColumns + ` FROM results`
	if where != nil {
		query += ` WHERE ` + strings.Join(where, ` AND `)
	}
	// The unary plus keeps the planner from choosing the index on received, which
	// would make it sort: it must walk a sequence.
	return all(ctx, s.read, scanRow,
		query+` ORDER BY sequence DESC LIMIT ?`, append(args, f.Page.Limit)...)
}

// BlobDigests implements [webjob.Results].
func (s resultTable) BlobDigests(ctx context.Context, visit func(webjob.Digest, int64) error) error {
	rows, err := s.read.QueryContext(ctx, `SELECT digest, size FROM payloads UNION SELECT digest, size FROM result_blobs ORDER BY digest`)
	if err != nil {
		return backendError(err)
	}
	defer func() { _ = rows.Close() }() // its errors are those of Err
	for rows.Next() {
		var d webjob.Digest
		var size int64
		if err := rows.Scan(&d, &size); err != nil {
			return backendError(err)
		}
		if err := visit(d, size); err != nil {
			return err
		}
	}
	return backendError(rows.Err())
}
