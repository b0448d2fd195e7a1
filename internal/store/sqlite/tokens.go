package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"webjob.dev/webjob"
)

// AddToken implements [webjob.Tokens].
func (s tokenTable) AddToken(ctx context.Context, t webjob.Token) error {
	labels, err := json.Marshal(t.Labels)
	if err != nil {
		return err
	}
	grants, err := json.Marshal(t.Grants)
	if err != nil {
		return err
	}
	// Who is to come back is shut out until then.
	return s.changeOf(ctx, &subjects{clients: []string{t.Name}}, func(ctx context.Context, c *conn) error {
		if t.Readmits() {
			if err := endForReadmission(ctx, c, t); err != nil {
				return err
			}
		}
		n, err := affected(c.ExecContext(ctx, `INSERT INTO tokens (secret, id, role, name, labels, grants, uses, total, expires, made_by, made_at)
			SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 WHERE NOT EXISTS (SELECT 1 FROM tokens WHERE id = ?2)`,
			t.Secret, t.ID, t.Role, t.Name, string(labels), string(grants), t.Uses, t.Total, micros(t.Expires), t.MadeBy, micros(t.MadeAt)))
		if n == 0 && err == nil || isUnique(err) {
			return webjob.Errorf(webjob.Conflict, "token %s exists already; make a new one", t.ID)
		}
		return err
	})
}

// endForReadmission ends what the holder of a name had, who is to come back with the token.
func endForReadmission(ctx context.Context, c *conn, t webjob.Token) error {
	reason := "revoked by " + t.MadeBy
	if t.Role == webjob.RoleOperator {
		if err := revokeOperator(ctx, c, t.Name, reason, t.MadeAt, t.MadeBy != webjob.ServerActor); err != nil {
			return err
		}
		return noteReadmission(ctx, c, `UPDATE operators SET reason = ?1 || ?2 WHERE name = ?3`, `SELECT reason FROM operators WHERE name = ?`, t.Name, webjob.ReadmissionReason+t.ID)
	}
	if err := revokeClient(ctx, c, t.Name, reason, t.MadeAt); err != nil {
		return err
	}
	return noteReadmission(ctx, c, `UPDATE clients SET reason = ?1 || ?2 WHERE id = ?3`, `SELECT reason FROM clients WHERE id = ?`, t.Name, webjob.ReadmissionReason+t.ID)
}

// noteReadmission puts behind the reason for which somebody was revoked before that a token waits.
func noteReadmission(ctx context.Context, c *conn, update, read, name, returns string) error {
	var reason string
	if err := c.QueryRowContext(ctx, read, name).Scan(&reason); err != nil {
		return err
	}
	before, _, _ := strings.Cut(reason, webjob.ReadmissionReason) // of another token
	if before != "" && !strings.HasSuffix(before, "; ") {
		before += "; "
	}
	_, err := c.ExecContext(ctx, update, before, returns, name)
	return err
}

const tokenColumns = `rowid, secret, id, role, name, labels, grants, uses, total, expires, made_by, made_at, revoked_at, used_by`

func scanToken(row scanner) (webjob.Token, error) {
	var t webjob.Token
	var labels, grants, usedBy string
	var expires, made, revoked sql.NullInt64
	if err := row.Scan(&t.Sequence, &t.Secret, &t.ID, &t.Role, &t.Name, &labels, &grants, &t.Uses, &t.Total, &expires, &t.MadeBy, &made, &revoked, &usedBy); err != nil {
		return t, err
	}
	t.Expires, t.MadeAt, t.RevokedAt = fromMicros(expires), fromMicros(made), fromMicros(revoked)
	if err := errors.Join(json.Unmarshal([]byte(grants), &t.Grants), json.Unmarshal([]byte(usedBy), &t.UsedBy)); err != nil {
		return t, err
	}
	if len(t.UsedBy) == 0 {
		t.UsedBy = nil
	}
	return t, json.Unmarshal([]byte(labels), &t.Labels)
}

// Token implements [webjob.Tokens].
func (s tokenTable) Token(ctx context.Context, secret webjob.Digest) (webjob.Token, error) {
	t, err := scanToken(s.read.QueryRowContext(ctx, `SELECT `+tokenColumns+` FROM tokens WHERE secret = ? AND uses > 0 AND revoked_at IS NULL`, secret))
	return t, one(err, "token is unknown, used up or revoked")
}

// ListTokens implements [webjob.Tokens].
func (s tokenTable) ListTokens(ctx context.Context, p webjob.Page) ([]webjob.Token, error) {
	if p.After == "" {
		return all(ctx, s.read, scanToken, `SELECT `+tokenColumns+` FROM tokens ORDER BY rowid DESC LIMIT ?`, p.Limit)
	}
	return all(ctx, s.read, scanToken, `SELECT `+tokenColumns+` FROM tokens WHERE rowid < CAST(? AS INTEGER) ORDER BY rowid DESC LIMIT ?`, p.After, p.Limit)
}

// RevokeToken implements [webjob.Tokens].
func (s tokenTable) RevokeToken(ctx context.Context, id string, at time.Time) (t webjob.Token, err error) {
	err = s.quietly(ctx, func(ctx context.Context, c *conn) error {
		n, err := affected(c.ExecContext(ctx, `UPDATE tokens SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?`, micros(at), id))
		switch {
		case err != nil:
			return err
		case n == 0:
			return webjob.Errorf(webjob.NotFound, "there is no token %.40q; webjobctl token list shows their ids", id)
		case n > 1: // of a store from before ids were unique
			return webjob.Errorf(webjob.Conflict, "%d tokens have the id %s; let them expire", n, id)
		}
		t, err = scanToken(c.QueryRowContext(ctx, `SELECT `+tokenColumns+` FROM tokens WHERE id = ?`, id))
		return err
	})
	return t, err
}

// revokeTokensFor makes the tokens useless that are for a name; revokeTokensOf those that
// an operator made.
func revokeTokensFor(ctx context.Context, c *conn, role webjob.Role, name string, at time.Time) error {
	return revokeTokens(ctx, c, `UPDATE tokens SET revoked_at = ? WHERE revoked_at IS NULL AND uses > 0 AND role = ? AND name = ? RETURNING id`, micros(at), role, name)
}

func revokeTokensOf(ctx context.Context, c *conn, operator string, at time.Time) error {
	return revokeTokens(ctx, c, `UPDATE tokens SET revoked_at = ? WHERE revoked_at IS NULL AND uses > 0 AND made_by = ? RETURNING id`, micros(at), operator)
}

// revokeTokens notes which tokens an update revokes, for the entry of the act.
func revokeTokens(ctx context.Context, c *conn, update string, args ...any) error {
	ids, err := rowsOf(ctx, c, func(row scanner) (id string, err error) { return id, row.Scan(&id) }, update, args...)
	c.revoked = append(c.revoked, ids...)
	return err
}

// useToken takes one use of the token, which must be of the role and for the name.
func useToken(ctx context.Context, c *conn, secret webjob.Digest, role webjob.Role, name string) (webjob.Token, error) {
	n, err := affected(c.ExecContext(ctx, `UPDATE tokens SET uses = uses - 1,
		used_by = iif(json_array_length(used_by) < ?4, json_insert(used_by, '$[#]', ?3), used_by)
		WHERE secret = ?1 AND role = ?2 AND uses > 0 AND revoked_at IS NULL AND name IN ('', ?3)`, secret, role, name, webjob.MaxTokenUsers))
	if err != nil {
		return webjob.Token{}, err
	}
	if n == 0 {
		return webjob.Token{}, webjob.Errorf(webjob.Refused, "token is unknown, used up or revoked; ask for a new one")
	}
	return scanToken(c.QueryRowContext(ctx, `SELECT `+tokenColumns+` FROM tokens WHERE secret = ?`, secret))
}
