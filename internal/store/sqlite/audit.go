package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"webjob.dev/webjob"
)

// recorded makes a change put the act of its context into the audit log, too.
func recorded(ctx context.Context, apply func(context.Context, *conn) error) (withAct func(context.Context, *conn) error, failed func()) {
	act := webjob.ActOf(ctx)
	if act == nil || act.Recorded() {
		return apply, func() {}
	}
	mine := false
	return func(ctx context.Context, c *conn) error {
			if err := stillIs(ctx, c, act.Judged); err != nil {
				return err
			}
			if err := apply(ctx, c); err != nil {
				return err
			}
			if mine = act.Record(); !mine {
				return nil // another change of the same request was first
			}
			return appendActs(ctx, c, []webjob.Act{act.WithTokens(c.revoked)})
		}, func() {
			if mine {
				act.Unrecord()
			}
		}
}

// stillIs refuses the change of an operator that is not any more as it was when it was
// found to have the right.
func stillIs(ctx context.Context, c *conn, judged *webjob.Operator) error {
	if judged == nil {
		return nil
	}
	now, err := operator(ctx, c, judged.Name)
	if err == nil && (now.Revoked() || now.Key != judged.Key || !slices.Equal(now.Grants, judged.Grants)) {
		err = webjob.Errorf(webjob.Refused, "operator %s was revoked, or has another key or other roles, since this request began; nothing was changed", judged.Name)
	}
	return err
}

func appendActs(ctx context.Context, c *conn, acts []webjob.Act) error {
	sequence, hash := int64(0), webjob.EmptyDigest
	err := c.QueryRowContext(ctx, `SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1`).Scan(&sequence, &hash)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	for _, act := range acts {
		entry, err := webjob.SealAct(act, sequence, hash)
		if err != nil {
			return err
		}
		if _, err := c.ExecContext(ctx, `INSERT INTO audit (sequence, at, actor, action, target, hash, text) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			entry.Sequence, micros(act.Time), act.Actor, act.Action, act.Target, entry.Hash, string(entry.Text)); err != nil {
			return err
		}
		sequence, hash = entry.Sequence, entry.Hash
	}
	return nil
}

// RecordActs implements [webjob.Audit].
func (s auditTable) RecordActs(ctx context.Context, acts ...webjob.Act) error {
	return s.quietly(ctx, func(ctx context.Context, c *conn) error { return appendActs(ctx, c, acts) })
}

const auditColumns = `sequence, hash, text`

func scanEntry(row scanner) (webjob.AuditEntry, error) {
	var e webjob.AuditEntry
	var text string
	err := row.Scan(&e.Sequence, &e.Hash, &text)
	e.Text = []byte(text)
	return e, err
}

// ListActs implements [webjob.Audit].
func (s auditTable) ListActs(ctx context.Context, f webjob.ActFilter) ([]webjob.AuditEntry, error) {
	where, args := []string{"1"}, []any{}
	add := func(condition string, values ...any) {
		where, args = append(where, condition), append(args, values...)
	}
	order := "ASC"
	if f.Newest {
		order = "DESC"
	}
	if f.Page.After != "" {
		add(map[bool]string{false: `sequence > CAST(? AS INTEGER)`, true: `sequence < CAST(? AS INTEGER)`}[f.Newest], f.Page.After)
	}
	if f.Actor != "" {
		add(`actor = ?`, f.Actor)
	}
	if f.Action != "" {
		add(`(action = ? OR substr(action, 1, ?) = ?)`, f.Action, len(f.Action)+1, f.Action+".")
	}
	if f.Target != "" {
		add(`target = ?`, f.Target)
	}
	if !f.Since.IsZero() {
		add(`at >= ?`, f.Since.UnixMicro())
	}
	if !f.Until.IsZero() {
		add(`at < ?`, f.Until.UnixMicro())
	}
	return all(ctx, s.read, scanEntry, `SELECT `+auditColumns+` FROM audit WHERE `+strings.Join(where, ` AND `)+` ORDER BY sequence `+order+` LIMIT ?`, append(args, f.Page.Limit)...)
}

// AuditHead implements [webjob.Audit].
func (s auditTable) AuditHead(ctx context.Context) (webjob.AuditEntry, error) {
	e, err := scanEntry(s.read.QueryRowContext(ctx, `SELECT `+auditColumns+` FROM audit ORDER BY sequence DESC LIMIT 1`))
	if errors.Is(err, sql.ErrNoRows) {
		return webjob.AuditEntry{}, nil
	}
	return e, backendError(err)
}

// Lease implements [webjob.Leases]. One server has the file, so its clock is the store's.
func (s auditTable) Lease(ctx context.Context, name, holder string, ttl time.Duration) (held bool, err error) {
	err = s.quietly(ctx, func(ctx context.Context, c *conn) error {
		now := time.Now()
		result, err := c.ExecContext(ctx, `INSERT INTO leases (name, holder, ends) VALUES (?1, ?2, ?3)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, ends = excluded.ends WHERE holder = excluded.holder OR ends <= ?4`,
			name, holder, now.Add(ttl).UnixMicro(), now.UnixMicro())
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		held = n == 1
		return err
	})
	return held && err == nil, err
}

// EndLease implements [webjob.Leases].
func (s auditTable) EndLease(ctx context.Context, name, holder string) error {
	return s.quietly(ctx, func(ctx context.Context, c *conn) error {
		_, err := c.ExecContext(ctx, `DELETE FROM leases WHERE name = ? AND holder = ?`, name, holder)
		return err
	})
}
