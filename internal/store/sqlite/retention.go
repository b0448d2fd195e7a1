package sqlite

import (
	"context"
	"time"

	"webjob.dev/webjob"
)

// DueResults implements [webjob.Results].
func (s resultTable) DueResults(ctx context.Context, at time.Time, limit int) ([]webjob.Result, error) {
	return all(ctx, s.read, scanRow, `SELECT `+resultColumns+` FROM results WHERE keep_until <= ? ORDER BY keep_until LIMIT ?`, micros(at), limit)
}

// WalkResults implements [webjob.Results].
func (s resultTable) WalkResults(ctx context.Context, after int64, limit int) ([]webjob.Result, error) {
	return all(ctx, s.read, scanRow, `SELECT `+resultColumns+` FROM results WHERE sequence > ? ORDER BY sequence LIMIT ?`, after, limit)
}

// KeepResults implements [webjob.Results].
func (s resultTable) KeepResults(ctx context.Context, until map[int64]time.Time) error {
	return s.quietly(ctx, func(ctx context.Context, c *conn) error {
		for sequence, at := range until {
			if _, err := c.ExecContext(ctx, `UPDATE results SET keep_until = ? WHERE sequence = ?`, micros(at), sequence); err != nil {
				return err
			}
		}
		return nil
	})
}

// DatedBy implements [webjob.Results].
func (s resultTable) DatedBy(ctx context.Context) (rules string, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT coalesce((SELECT rules FROM dated_by), '')`).Scan(&rules)
	return rules, backendError(err)
}

// SetDatedBy implements [webjob.Results].
func (s resultTable) SetDatedBy(ctx context.Context, rules string) error {
	return s.quietly(ctx, func(ctx context.Context, c *conn) error {
		_, err := c.ExecContext(ctx, `INSERT INTO dated_by (one, rules) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET rules = excluded.rules`, rules)
		return err
	})
}

// PruneResults implements [webjob.Results].
func (s resultTable) PruneResults(ctx context.Context, sequences []int64) (removed int, err error) {
	err = s.quietly(ctx, func(ctx context.Context, c *conn) error {
		removed = 0
		for _, sequence := range sequences {
			found, err := pruneResult(ctx, c, sequence)
			if err != nil {
				return err
			}
			if found {
				removed++
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return removed, nil
}

func pruneResult(ctx context.Context, c *conn, sequence int64) (found bool, err error) {
	var run, client string
	var stored int64
	err = c.QueryRowContext(ctx, `SELECT run, client, bytes + length(record) FROM results WHERE sequence = ?`, sequence).Scan(&run, &client, &stored)
	if webjob.KindOf(one(err, "")) == webjob.NotFound {
		return false, nil // another one was faster
	}
	if err != nil {
		return false, err
	}
	for _, statement := range []struct {
		text string
		args []any
	}{
		{`DELETE FROM notes WHERE run = ?`, []any{run}},
		{`DELETE FROM result_blobs WHERE sequence = ?`, []any{sequence}},
		{`DELETE FROM results WHERE sequence = ?`, []any{sequence}},
		{`UPDATE client_storage SET results = results - 1, stored = stored - ? WHERE client = ?`, []any{stored, client}},
	} {
		if _, err := c.ExecContext(ctx, statement.text, statement.args...); err != nil {
			return false, err
		}
	}
	return true, nil
}
