package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"webjob.dev/webjob"
)

// insertDeliveries adds deliveries within a change.
func insertDeliveries(ctx context.Context, c *conn, deliveries []webjob.Delivery) error {
	for _, d := range deliveries {
		event, err := json.Marshal(d.Event)
		if err != nil {
			return err
		}
		if _, err := c.ExecContext(ctx, `INSERT INTO deliveries ("trigger", event, client, attempts, next_at, dead, error) VALUES (?, ?, ?, 0, ?, 0, '')`,
			d.Trigger, string(event), d.Event.Client, d.NextAt.UnixMicro()); err != nil {
			return err
		}
	}
	return nil
}

// AddDeliveries implements [webjob.Deliveries].
func (s deliveryTable) AddDeliveries(ctx context.Context, deliveries []webjob.Delivery) error {
	return s.quietly(ctx, func(ctx context.Context, c *conn) error { return insertRequested(ctx, c, deliveries) })
}

// insertRequested adds what a request of a client has to tell, unless too much of it waits. What the
// server itself has to tell of a client comes past this: it may be that its identity was copied.
func insertRequested(ctx context.Context, c *conn, deliveries []webjob.Delivery) error {
	if len(deliveries) == 0 {
		return nil
	}
	client := deliveries[0].Event.Client
	var full bool
	err := c.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM deliveries WHERE client = ? AND client != '' AND dead = 0 LIMIT 1 OFFSET ?)`,
		client, webjob.MaxDeliveries-1).Scan(&full)
	if err == nil && full {
		err = webjob.Errorf(webjob.Unavailable, "%d events of client %s wait for their triggers: webjobctl hook list shows which; try again when they were delivered", webjob.MaxDeliveries, client)
	}
	if err != nil {
		return err
	}
	return insertDeliveries(ctx, c, deliveries)
}

// pruneDeadEvery is which of the deliveries looks for dead ones that are too old: that costs
// as much as ten others.
const pruneDeadEvery = 64

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

// DueTriggers implements [webjob.Deliveries]. It steps from trigger to trigger, so it costs
// a few rows however many deliveries wait.
func (s deliveryTable) DueTriggers(ctx context.Context) (map[string]time.Time, error) {
	due := map[string]time.Time{}
	_, err := all(ctx, s.read, func(row scanner) (struct{}, error) {
		var trigger string
		var next sql.NullInt64
		err := row.Scan(&trigger, &next)
		if next.Valid {
			due[trigger] = fromMicros(next)
		}
		return struct{}{}, err
	}, `WITH RECURSIVE names (name) AS (
			SELECT min("trigger") FROM deliveries
			UNION ALL SELECT (SELECT min("trigger") FROM deliveries WHERE "trigger" > name) FROM names WHERE name IS NOT NULL)
		SELECT name, (SELECT min(next_at) FROM deliveries WHERE "trigger" = name AND dead = 0) FROM names WHERE name IS NOT NULL`)
	return due, err
}

// DueDeliveries implements [webjob.Deliveries].
func (s deliveryTable) DueDeliveries(ctx context.Context, trigger string, now time.Time, limit int) ([]webjob.Delivery, error) {
	return all(ctx, s.read, scanDelivery, `SELECT `+deliveryColumns+` FROM deliveries WHERE "trigger" = ? AND dead = 0 AND next_at <= ? ORDER BY next_at, sequence LIMIT ?`,
		trigger, micros(now), limit)
}

// Delivered implements [webjob.Deliveries].
func (s deliveryTable) Delivered(ctx context.Context, sequences []int64) error {
	return s.quietly(ctx, func(ctx context.Context, c *conn) error {
		for _, sequence := range sequences {
			if _, err := c.ExecContext(ctx, `DELETE FROM deliveries WHERE sequence = ?`, sequence); err != nil {
				return err
			}
		}
		return nil
	})
}

// Postpone implements [webjob.Deliveries].
func (s deliveryTable) Postpone(ctx context.Context, d webjob.Delivery) error {
	return s.quietly(ctx, func(ctx context.Context, c *conn) error {
		_, err := c.ExecContext(ctx, `UPDATE deliveries SET attempts = ?, next_at = ?, dead = ?, error = ? WHERE sequence = ?`,
			d.Attempts, d.NextAt.UnixMicro(), d.Dead, d.Error, d.Sequence)
		if err != nil || !d.Dead || d.Sequence%pruneDeadEvery != 0 {
			return err
		}
		_, err = c.ExecContext(ctx, `DELETE FROM deliveries WHERE "trigger" = ?1 AND dead = 1 AND (next_at, sequence) <=
			(SELECT next_at, sequence FROM deliveries WHERE "trigger" = ?1 AND dead = 1 ORDER BY next_at DESC, sequence DESC LIMIT 1 OFFSET ?2)`, d.Trigger, webjob.MaxDead)
		return err
	})
}

// ListDeliveries implements [webjob.Deliveries].
func (s deliveryTable) ListDeliveries(ctx context.Context, dead bool, p webjob.Page) ([]webjob.Delivery, error) {
	return all(ctx, s.read, scanDelivery, `SELECT `+deliveryColumns+` FROM deliveries WHERE dead = ? AND sequence > CAST(? AS INTEGER) ORDER BY sequence LIMIT ?`,
		dead, p.After, p.Limit)
}

// RetryDeliveries implements [webjob.Deliveries].
func (s deliveryTable) RetryDeliveries(ctx context.Context, sequence int64, now time.Time) (changed int64, err error) {
	err = s.quietly(ctx, func(ctx context.Context, c *conn) error {
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
func (s deliveryTable) AddNotes(ctx context.Context, client, run string, notes []webjob.Note) error {
	return s.quietly(ctx, func(ctx context.Context, c *conn) error {
		var over bool
		var others, has int
		err := c.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM results WHERE run = ?1),
			(SELECT count(*) FROM notes WHERE run = ?1 AND waiting IS NOT ?2), (SELECT count(*) FROM notes WHERE run = ?1)`, run, client).Scan(&over, &others, &has)
		switch {
		case err != nil:
			return err
		case over || others > 0:
			return webjob.Errorf(webjob.Conflict, "run %s has a result already, or is another client's; nothing is noted of it", run)
		case has+len(notes) > webjob.MaxNotes:
			return webjob.Errorf(webjob.TooLarge, "run %s has %d notes of hooks already; at most %d", run, has, webjob.MaxNotes)
		}
		if err := insertNotes(ctx, c, client, run, notes); err != nil {
			return err
		}
		return boundNotes(ctx, c, client)
	})
}

// boundNotes lets the oldest notes go of a client that has too many of runs without results.
// Which of these have their results by now is only asked then.
func boundNotes(ctx context.Context, c *conn, client string) error {
	var waiting int
	if err := c.QueryRowContext(ctx, `SELECT count(*) FROM notes WHERE waiting = ?`, client).Scan(&waiting); err != nil || waiting <= webjob.MaxWaitingNotes {
		return err
	}
	if _, err := c.ExecContext(ctx, `UPDATE notes SET waiting = NULL WHERE waiting = ? AND run IN (SELECT run FROM results)`, client); err != nil {
		return err
	}
	_, err := c.ExecContext(ctx, `DELETE FROM notes WHERE waiting = ?1 AND rowid NOT IN (SELECT rowid FROM notes WHERE waiting = ?1 ORDER BY rowid DESC LIMIT ?2)`,
		client, webjob.MaxWaitingNotes/2)
	return err
}

// insertNotes adds notes, which wait for the result of a client when there is one.
func insertNotes(ctx context.Context, c *conn, waiting, run string, notes []webjob.Note) error {
	for _, note := range notes {
		encoded, err := json.Marshal(note)
		if err != nil {
			return err
		}
		if _, err := c.ExecContext(ctx, `INSERT INTO notes (run, note, waiting) VALUES (?, ?, nullif(?, ''))`, run, string(encoded), waiting); err != nil {
			return err
		}
	}
	return nil
}

// Notes implements [webjob.Results].
func (s deliveryTable) Notes(ctx context.Context, run string) ([]webjob.Note, error) {
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
func followOutput(ctx context.Context, c *conn, client, job string, output webjob.Digest) (before webjob.Digest, err error) {
	err = c.QueryRowContext(ctx, `SELECT digest FROM outputs WHERE client = ? AND job = ?`, client, job).Scan(&before)
	if err = one(err, ""); webjob.KindOf(err) == webjob.NotFound {
		var full bool
		err = c.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM outputs WHERE client = ? LIMIT 1 OFFSET ?)`, client, webjob.MaxOutputs-1).Scan(&full)
		if full {
			return "", err // it makes the names of jobs up: each output is as good as new
		}
	}
	if err != nil {
		return "", err
	}
	_, err = c.ExecContext(ctx, `INSERT INTO outputs (client, job, digest) VALUES (?, ?, ?) ON CONFLICT (client, job) DO UPDATE SET digest = excluded.digest`,
		client, job, output)
	return before, err
}

// rowsOf is all within a change.
func rowsOf[T any](ctx context.Context, c *conn, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := c.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, scan)
}
