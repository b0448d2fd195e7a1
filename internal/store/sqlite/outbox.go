package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"webjob.dev/webjob"
)

// insertDeliveries adds deliveries within a change.
func insertDeliveries(ctx context.Context, c *sql.Conn, deliveries []webjob.Delivery) error {
	for _, d := range deliveries {
		event, err := json.Marshal(d.Event)
		if err != nil {
			return err
		}
		if _, err := c.ExecContext(ctx, `INSERT INTO deliveries ("trigger", event, attempts, next_at, dead, error) VALUES (?, ?, 0, ?, 0, '')`,
			d.Trigger, string(event), d.NextAt.UnixMicro()); err != nil {
			return err
		}
	}
	return nil
}

// AddDeliveries implements [webjob.Outbox].
func (s *Store) AddDeliveries(ctx context.Context, deliveries []webjob.Delivery) error {
	return s.quietly(ctx, func(ctx context.Context, c *sql.Conn) error { return insertDeliveries(ctx, c, deliveries) })
}

const deliveryColumns = `sequence, "trigger", event, attempts, next_at, dead, error`

func scanDelivery(row scanner) (webjob.Delivery, error) {
	var d webjob.Delivery
	var event string
	var next sql.NullInt64
	if err := row.Scan(&d.Sequence, &d.Trigger, &event, &d.Attempts, &next, &d.Dead, &d.Error); err != nil {
		return d, err
	}
	d.NextAt = fromMicros(next)
	return d, json.Unmarshal([]byte(event), &d.Event)
}

// DueDeliveries implements [webjob.Outbox].
func (s *Store) DueDeliveries(ctx context.Context, now time.Time, limit int) (due []webjob.Delivery, next time.Time, err error) {
	waiting, err := all(ctx, s.read, scanDelivery, `SELECT `+deliveryColumns+` FROM deliveries WHERE dead = 0 ORDER BY next_at, sequence LIMIT ?`, limit+1)
	for i, d := range waiting {
		if i == limit || d.NextAt.After(now) {
			return due, d.NextAt, err
		}
		due = append(due, d)
	}
	return due, time.Time{}, err
}

// Delivered implements [webjob.Outbox].
func (s *Store) Delivered(ctx context.Context, sequences []int64) error {
	return s.quietly(ctx, func(ctx context.Context, c *sql.Conn) error {
		for _, sequence := range sequences {
			if _, err := c.ExecContext(ctx, `DELETE FROM deliveries WHERE sequence = ?`, sequence); err != nil {
				return err
			}
		}
		return nil
	})
}

// Postpone implements [webjob.Outbox].
func (s *Store) Postpone(ctx context.Context, d webjob.Delivery) error {
	return s.quietly(ctx, func(ctx context.Context, c *sql.Conn) error {
		_, err := c.ExecContext(ctx, `UPDATE deliveries SET attempts = ?, next_at = ?, dead = ?, error = ? WHERE sequence = ?`,
			d.Attempts, d.NextAt.UnixMicro(), d.Dead, d.Error, d.Sequence)
		return err
	})
}

// ListDeliveries implements [webjob.Outbox].
func (s *Store) ListDeliveries(ctx context.Context, dead bool, p webjob.Page) ([]webjob.Delivery, error) {
	return all(ctx, s.read, scanDelivery, `SELECT `+deliveryColumns+` FROM deliveries WHERE dead = ? AND sequence > CAST(? AS INTEGER) ORDER BY sequence LIMIT ?`,
		dead, p.After, p.Limit)
}

// RetryDeliveries implements [webjob.Outbox].
func (s *Store) RetryDeliveries(ctx context.Context, sequence int64, now time.Time) (changed int64, err error) {
	err = s.quietly(ctx, func(ctx context.Context, c *sql.Conn) error {
		result, err := c.ExecContext(ctx, `UPDATE deliveries SET dead = 0, attempts = 0, next_at = ?1 WHERE dead = 1 AND (?2 = 0 OR sequence = ?2)`,
			now.UnixMicro(), sequence)
		if err != nil {
			return err
		}
		changed, err = result.RowsAffected()
		if err == nil && changed == 0 && sequence != 0 {
			return webjob.Errorf(webjob.NotFound, "there is no dead delivery %d; webjobctl hook list --dead shows what is", sequence)
		}
		return err
	})
	return changed, err
}

// AddNotes implements [webjob.Results].
func (s *Store) AddNotes(ctx context.Context, run string, notes []webjob.Note) error {
	return s.quietly(ctx, func(ctx context.Context, c *sql.Conn) error { return insertNotes(ctx, c, run, notes) })
}

func insertNotes(ctx context.Context, c *sql.Conn, run string, notes []webjob.Note) error {
	for _, note := range notes {
		encoded, err := json.Marshal(note)
		if err != nil {
			return err
		}
		if _, err := c.ExecContext(ctx, `INSERT INTO notes (run, note) VALUES (?, ?)`, run, string(encoded)); err != nil {
			return err
		}
	}
	return nil
}

// Notes implements [webjob.Results].
func (s *Store) Notes(ctx context.Context, run string) ([]webjob.Note, error) {
	return all(ctx, s.read, func(row scanner) (n webjob.Note, err error) {
		var encoded string
		if err := row.Scan(&encoded); err != nil {
			return n, err
		}
		return n, json.Unmarshal([]byte(encoded), &n)
	}, `SELECT note FROM notes WHERE run = ? ORDER BY rowid`, run)
}

// followOutput keeps the digest of a job's last output on a client and returns the
// one before.
func followOutput(ctx context.Context, c *sql.Conn, client, job string, output webjob.Digest) (before webjob.Digest, err error) {
	err = c.QueryRowContext(ctx, `SELECT digest FROM outputs WHERE client = ? AND job = ?`, client, job).Scan(&before)
	if err = one(err, ""); webjob.KindOf(err) != webjob.NotFound && err != nil {
		return "", err
	}
	_, err = c.ExecContext(ctx, `INSERT INTO outputs (client, job, digest) VALUES (?, ?, ?) ON CONFLICT (client, job) DO UPDATE SET digest = excluded.digest`,
		client, job, output)
	return before, err
}

// PruneResults implements [webjob.Results].
func (s *Store) PruneResults(ctx context.Context, keep func(client, job string) time.Time, limit int) (removed int, blobs []webjob.Digest, err error) {
	type pair struct{ client, job string }
	pairs, err := all(ctx, s.read, func(row scanner) (p pair, err error) { return p, row.Scan(&p.client, &p.job) },
		`SELECT DISTINCT client, job FROM results`)
	if err != nil {
		return 0, nil, err
	}
	for _, p := range pairs {
		before := keep(p.client, p.job)
		if before.IsZero() || removed >= limit {
			continue
		}
		n, freed, err := s.prune(ctx, p.client, p.job, before, limit-removed)
		removed, blobs = removed+n, append(blobs, freed...)
		if err != nil {
			return removed, blobs, err
		}
	}
	return removed, blobs, nil
}

func (s *Store) prune(ctx context.Context, client, job string, before time.Time, limit int) (removed int, blobs []webjob.Digest, err error) {
	err = s.quietly(ctx, func(ctx context.Context, c *sql.Conn) error {
		removed, blobs = 0, nil
		doomed, err := rowsOf(ctx, c, func(row scanner) (n int64, err error) { return n, row.Scan(&n) },
			`SELECT sequence FROM results WHERE client = ? AND +job = ? AND +received < ? ORDER BY sequence LIMIT ?`, client, job, micros(before), limit)
		if err != nil {
			return err
		}
		for _, sequence := range doomed {
			digests, err := rowsOf(ctx, c, func(row scanner) (d webjob.Digest, err error) { return d, row.Scan(&d) },
				`SELECT digest FROM result_blobs WHERE sequence = ?`, sequence)
			if err != nil {
				return err
			}
			for _, statement := range []string{
				`DELETE FROM notes WHERE run = (SELECT run FROM results WHERE sequence = ?)`,
				`DELETE FROM result_blobs WHERE sequence = ?`,
				`DELETE FROM results WHERE sequence = ?`,
			} {
				if _, err := c.ExecContext(ctx, statement, sequence); err != nil {
					return err
				}
			}
			for _, d := range digests {
				var used bool
				if err := c.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM result_blobs WHERE digest = ?1) OR EXISTS (SELECT 1 FROM payloads WHERE digest = ?1)`, d).Scan(&used); err != nil {
					return err
				}
				if !used {
					blobs = append(blobs, d)
				}
			}
		}
		removed = len(doomed)
		return nil
	})
	if err != nil {
		return 0, nil, err // the results are still there, and name the blobs
	}
	return removed, blobs, nil
}

// rowsOf is all within a change.
func rowsOf[T any](ctx context.Context, c *sql.Conn, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := c.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, scan)
}
