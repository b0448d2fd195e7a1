package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"webjob.dev/webjob"
)

// AddToken implements [webjob.Tokens].
func (s *Store) AddToken(ctx context.Context, t webjob.Token) error {
	labels, err := json.Marshal(t.Labels)
	if err != nil {
		return err
	}
	return s.change(ctx, func(ctx context.Context, c *sql.Conn) error {
		_, err := c.ExecContext(ctx, `INSERT INTO tokens (secret, id, role, labels, uses, expires) VALUES (?, ?, ?, ?, ?, ?)`,
			t.Secret, t.ID, t.Role, string(labels), t.Uses, micros(t.Expires))
		if isUnique(err) {
			return webjob.Errorf(webjob.Conflict, "token %s exists already; make a new one", t.ID)
		}
		return err
	})
}

// Token implements [webjob.Tokens].
func (s *Store) Token(ctx context.Context, secret webjob.Digest) (webjob.Token, error) {
	t := webjob.Token{Secret: secret}
	var labels string
	var expires sql.NullInt64
	err := s.read.QueryRowContext(ctx, `SELECT id, role, labels, uses, expires FROM tokens WHERE secret = ? AND uses > 0`, secret).
		Scan(&t.ID, &t.Role, &labels, &t.Uses, &expires)
	if err != nil {
		return t, one(err, "token is unknown or used up")
	}
	t.Expires = fromMicros(expires)
	return t, backendError(json.Unmarshal([]byte(labels), &t.Labels))
}

// useToken takes one use of the token.
func useToken(ctx context.Context, c *sql.Conn, secret webjob.Digest) error {
	result, err := c.ExecContext(ctx, `UPDATE tokens SET uses = uses - 1 WHERE secret = ? AND uses > 0`, secret)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return webjob.Errorf(webjob.Refused, "token is unknown or used up; ask for a new one")
}

// Enroll implements [webjob.Clients].
func (s *Store) Enroll(ctx context.Context, secret webjob.Digest, client webjob.Client, deliveries []webjob.Delivery) error {
	labels, err := json.Marshal(client.Labels)
	if err != nil {
		return err
	}
	return s.change(ctx, func(ctx context.Context, c *sql.Conn) error {
		if err := useToken(ctx, c, secret); err != nil {
			return err
		}
		_, err := c.ExecContext(ctx, `INSERT INTO clients (id, labels, platform, key, enrolled_at) VALUES (?, ?, ?, ?, ?)`,
			client.ID, string(labels), client.Platform, client.Key, micros(client.EnrolledAt))
		if isUnique(err) {
			return webjob.Errorf(webjob.Conflict, "client id %s is taken; choose another with --id", client.ID)
		}
		if err != nil {
			return err
		}
		return insertDeliveries(ctx, c, deliveries)
	})
}

const clientColumns = `id, labels, platform, key, enrolled_at, last_seen, revoked_at, reason, suspended_at, overdue_at, facts, asked_at, approved_until, clone`

func scanClient(row scanner) (webjob.Client, error) {
	var c webjob.Client
	var labels string
	var enrolled, seen, revoked, suspended, overdue, asked, approved sql.NullInt64
	var facts, clone sql.NullString
	if err := row.Scan(&c.ID, &labels, &c.Platform, &c.Key, &enrolled, &seen, &revoked, &c.Reason, &suspended, &overdue, &facts, &asked, &approved, &clone); err != nil {
		return c, err
	}
	c.EnrolledAt, c.LastSeen, c.RevokedAt = fromMicros(enrolled), fromMicros(seen), fromMicros(revoked)
	c.SuspendedAt, c.OverdueAt = fromMicros(suspended), fromMicros(overdue)
	c.AskedAt, c.ApprovedUntil = fromMicros(asked), fromMicros(approved)
	if clone.Valid {
		c.Clone = &webjob.Clone{}
		if err := json.Unmarshal([]byte(clone.String), c.Clone); err != nil {
			return c, err
		}
	}
	if facts.Valid {
		c.Facts = &webjob.Facts{}
		if err := json.Unmarshal([]byte(facts.String), c.Facts); err != nil {
			return c, err
		}
	}
	return c, json.Unmarshal([]byte(labels), &c.Labels)
}

// Client implements [webjob.Clients].
func (s *Store) Client(ctx context.Context, id string) (webjob.Client, error) {
	return lookUp(&s.lookups, "client "+id, func() (webjob.Client, error) {
		c, err := scanClient(s.read.QueryRowContext(ctx, `SELECT `+clientColumns+` FROM clients WHERE id = ?`, id))
		return c, one(err, "client %s is not enrolled here", id)
	})
}

// ListClients implements [webjob.Clients].
func (s *Store) ListClients(ctx context.Context, p webjob.Page) ([]webjob.Client, error) {
	return all(ctx, s.read, scanClient, `SELECT `+clientColumns+` FROM clients WHERE id > ? ORDER BY id LIMIT ?`, p.After, p.Limit)
}

// RevokeClient implements [webjob.Clients].
func (s *Store) RevokeClient(ctx context.Context, id, reason string, at time.Time) error {
	return s.setClient(ctx, id, `UPDATE clients SET revoked_at = coalesce(revoked_at, ?1), reason = iif(revoked_at IS NULL, ?2, reason) WHERE id = ?`, micros(at), reason)
}

// SuspendClient implements [webjob.Clients].
func (s *Store) SuspendClient(ctx context.Context, id, reason string, at time.Time) error {
	return s.setClient(ctx, id, `UPDATE clients SET suspended_at = ?1, reason = iif(revoked_at IS NULL, ?2, reason) WHERE id = ?`, micros(at), reason)
}

// LetReturn implements [webjob.Clients].
func (s *Store) LetReturn(ctx context.Context, id string, asked, approvedUntil time.Time) error {
	return s.setClient(ctx, id, `UPDATE clients SET asked_at = ?1, approved_until = ?2 WHERE id = ?`, micros(asked), micros(approvedUntil))
}

// SetFacts implements [webjob.Clients].
func (s *Store) SetFacts(ctx context.Context, id string, facts webjob.Facts) error {
	encoded, err := json.Marshal(facts)
	if err != nil {
		return err
	}
	return s.setClient(ctx, id, `UPDATE clients SET facts = ?1 WHERE id = ?`, string(encoded))
}

// setClient makes a change of one client; the id is the last argument of the update.
func (s *Store) setClient(ctx context.Context, id, update string, args ...any) error {
	return s.change(ctx, func(ctx context.Context, c *sql.Conn) error {
		result, err := c.ExecContext(ctx, update, append(args, id)...)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return webjob.Errorf(webjob.NotFound, "client %s is not enrolled here", id)
	})
}

// SawClients implements [webjob.Clients].
func (s *Store) SawClients(ctx context.Context, seen map[string]time.Time) error {
	return s.change(ctx, func(ctx context.Context, c *sql.Conn) error {
		for id, at := range seen {
			if _, err := c.ExecContext(ctx, `UPDATE clients SET last_seen = max(coalesce(last_seen, 0), ?), overdue_at = NULL WHERE id = ?`, micros(at), id); err != nil {
				return err
			}
		}
		return nil
	})
}

// MarkOverdue implements [webjob.Clients].
func (s *Store) MarkOverdue(ctx context.Context, before, at time.Time, notify func(webjob.Client) []webjob.Delivery) (marked int, err error) {
	err = s.change(ctx, func(ctx context.Context, c *sql.Conn) error {
		overdue, err := rowsOf(ctx, c, scanClient, `SELECT `+clientColumns+` FROM clients
			WHERE last_seen < ? AND overdue_at IS NULL AND revoked_at IS NULL AND suspended_at IS NULL`, micros(before))
		if err != nil {
			return err
		}
		marked = len(overdue)
		for _, client := range overdue {
			if _, err := c.ExecContext(ctx, `UPDATE clients SET overdue_at = ? WHERE id = ?`, micros(at), client.ID); err != nil {
				return err
			}
			if err := insertDeliveries(ctx, c, notify(client)); err != nil {
				return err
			}
		}
		return nil
	})
	return marked, err
}

// AddOperator implements [webjob.Operators].
func (s *Store) AddOperator(ctx context.Context, secret webjob.Digest, o webjob.Operator) error {
	return s.change(ctx, func(ctx context.Context, c *sql.Conn) error {
		if err := useToken(ctx, c, secret); err != nil {
			return err
		}
		_, err := c.ExecContext(ctx, `INSERT INTO operators (name, key, enrolled_at) VALUES (?, ?, ?)`, o.Name, o.Key, micros(o.EnrolledAt))
		if isUnique(err) {
			return webjob.Errorf(webjob.Conflict, "operator name %s is taken; choose another with --name", o.Name)
		}
		return err
	})
}

// Operator implements [webjob.Operators].
func (s *Store) Operator(ctx context.Context, name string) (webjob.Operator, error) {
	o := webjob.Operator{Name: name}
	var enrolled, revoked sql.NullInt64
	err := s.read.QueryRowContext(ctx, `SELECT key, enrolled_at, revoked_at FROM operators WHERE name = ?`, name).
		Scan(&o.Key, &enrolled, &revoked)
	o.EnrolledAt, o.RevokedAt = fromMicros(enrolled), fromMicros(revoked)
	return o, one(err, "operator %s is unknown here", name)
}
