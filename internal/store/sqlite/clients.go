package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"webjob.dev/webjob"
)

// Enroll implements [webjob.Clients].
func (s clientTable) Enroll(ctx context.Context, secret webjob.Digest, client webjob.Client, certificate webjob.Certificate, deliveries []webjob.Delivery) error {
	labels, err := json.Marshal(client.Labels)
	if err != nil {
		return err
	}
	return s.changeOf(ctx, &subjects{clients: []string{client.ID}}, func(ctx context.Context, c *conn) error {
		token, err := useToken(ctx, c, secret, webjob.RoleClient, client.ID)
		if err != nil {
			return err
		}
		if token.Readmits() {
			err = readmitClient(ctx, c, client)
		} else {
			_, err = c.ExecContext(ctx, `INSERT INTO clients (id, labels, platform, key, enrolled_at) VALUES (?, ?, ?, ?, ?)`,
				client.ID, string(labels), client.Platform, client.Key, micros(client.EnrolledAt))
		}
		if isUnique(err) {
			return webjob.Errorf(webjob.Conflict, "client id %s is taken; choose another with --id, or let it come back with a new key: webjobctl client readmit %s --new-key", client.ID, client.ID)
		}
		if err != nil {
			return err
		}
		if err := addCertificate(ctx, c, webjob.RoleClient, client.ID, certificate); err != nil {
			return err
		}
		return insertDeliveries(ctx, c, deliveries)
	})
}

// readmitClient gives a known client a new key. What the machine of before said of itself, and
// what was said against it, is forgotten.
func readmitClient(ctx context.Context, c *conn, client webjob.Client) error {
	_, err := c.ExecContext(ctx, `UPDATE clients SET platform = ?, key = ?, enrolled_at = ?, revoked_at = NULL, reason = '', suspended_at = NULL,
		last_seen = NULL, overdue_at = NULL, facts = NULL, asked_at = NULL, approved_until = NULL, clone = NULL WHERE id = ?`,
		client.Platform, client.Key, micros(client.EnrolledAt), client.ID)
	if err != nil {
		return err
	}
	_, err = c.ExecContext(ctx, `DELETE FROM chains WHERE client = ?`, client.ID)
	return err
}

// RenewClient implements [webjob.Clients].
func (s clientTable) RenewClient(ctx context.Context, id string, key webjob.Digest, certificate webjob.Certificate) error {
	return s.changeOf(ctx, &subjects{clients: []string{id}}, func(ctx context.Context, c *conn) error {
		n, err := affected(c.ExecContext(ctx, `UPDATE clients SET asked_at = NULL, approved_until = NULL
			WHERE id = ? AND key = ? AND revoked_at IS NULL AND suspended_at IS NULL`, id, key))
		if err != nil {
			return err
		}
		if n == 0 {
			return webjob.Errorf(webjob.Conflict, "client %s has another key now, or was shut out", id)
		}
		return addCertificate(ctx, c, webjob.RoleClient, id, certificate)
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
func (s clientTable) Client(ctx context.Context, id string) (webjob.Client, error) {
	return s.clients.lookUp(id, func() (webjob.Client, error) {
		c, err := scanClient(s.read.QueryRowContext(ctx, `SELECT `+clientColumns+` FROM clients WHERE id = ?`, id))
		return c, one(err, "client %s is not enrolled here", id)
	})
}

// ListClients implements [webjob.Clients].
func (s clientTable) ListClients(ctx context.Context, p webjob.Page) ([]webjob.Client, error) {
	return all(ctx, s.read, scanClient, `SELECT `+clientColumns+` FROM clients WHERE id > ? ORDER BY id LIMIT ?`, p.After, p.Limit)
}

// RevokeClient implements [webjob.Clients].
func (s clientTable) RevokeClient(ctx context.Context, id, reason string, at time.Time) error {
	return s.changeOf(ctx, &subjects{clients: []string{id}}, func(ctx context.Context, c *conn) error { return revokeClient(ctx, c, id, reason, at) })
}

func revokeClient(ctx context.Context, c *conn, id, reason string, at time.Time) error {
	n, err := affected(c.ExecContext(ctx, `UPDATE clients SET revoked_at = coalesce(revoked_at, ?1), reason = iif(revoked_at IS NULL, ?2, reason) WHERE id = ?3`, micros(at), reason, id))
	if err != nil {
		return err
	}
	if n == 0 {
		return unknownClient(id)
	}
	return revokeHolder(ctx, c, webjob.RoleClient, id, at)
}

func unknownClient(id string) error {
	return webjob.Errorf(webjob.NotFound, "client %s is not enrolled here", id)
}

// SuspendClient implements [webjob.Clients].
func (s clientTable) SuspendClient(ctx context.Context, id, reason string, at time.Time) error {
	return s.setClient(ctx, id, `UPDATE clients SET suspended_at = ?1, reason = iif(revoked_at IS NULL, ?2, reason) WHERE id = ?`, micros(at), reason)
}

// SetLateRenewal implements [webjob.Clients].
func (s clientTable) SetLateRenewal(ctx context.Context, id string, asked, approvedUntil time.Time) error {
	return s.setClient(ctx, id, `UPDATE clients SET asked_at = ?1, approved_until = ?2 WHERE id = ?`, micros(asked), micros(approvedUntil))
}

// SetFacts implements [webjob.Clients].
func (s clientTable) SetFacts(ctx context.Context, id string, facts webjob.Facts) error {
	encoded, err := json.Marshal(facts)
	if err != nil {
		return err
	}
	return s.setClient(ctx, id, `UPDATE clients SET facts = ?1 WHERE id = ?`, string(encoded))
}

// setClient makes a change of one client; the id is the last argument of the update.
func (s clientTable) setClient(ctx context.Context, id, update string, args ...any) error {
	return s.changeOf(ctx, &subjects{clients: []string{id}}, func(ctx context.Context, c *conn) error {
		if n, err := affected(c.ExecContext(ctx, update, append(args, id)...)); err != nil || n == 1 {
			return err
		}
		return unknownClient(id)
	})
}

// SawClients implements [webjob.Clients].
func (s clientTable) SawClients(ctx context.Context, seen map[string]time.Time) error {
	return s.changeOf(ctx, &subjects{clients: slices.Collect(maps.Keys(seen))}, func(ctx context.Context, c *conn) error {
		for id, at := range seen {
			if _, err := c.ExecContext(ctx, `UPDATE clients SET last_seen = max(coalesce(last_seen, 0), ?), overdue_at = NULL WHERE id = ?`, micros(at), id); err != nil {
				return err
			}
		}
		return nil
	})
}

// MarkOverdue implements [webjob.Clients].
func (s clientTable) MarkOverdue(ctx context.Context, before, at time.Time, notify func(webjob.Client) []webjob.Delivery) (marked int, err error) {
	var about subjects
	err = s.changeOf(ctx, &about, func(ctx context.Context, c *conn) error {
		overdue, err := rowsOf(ctx, c, scanClient, `SELECT `+clientColumns+` FROM clients
			WHERE last_seen < ? AND overdue_at IS NULL AND revoked_at IS NULL AND suspended_at IS NULL`, micros(before))
		if err != nil {
			return err
		}
		marked = len(overdue)
		for _, client := range overdue {
			about.clients = append(about.clients, client.ID)
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
