package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"time"

	"webjob.dev/webjob"
)

const operatorColumns = `name, key, grants, enrolled_at, added_by, expires, revoked_at, reason`

func scanOperator(row scanner) (webjob.Operator, error) {
	var o webjob.Operator
	var grants string
	var enrolled, expires, revoked sql.NullInt64
	if err := row.Scan(&o.Name, &o.Key, &grants, &enrolled, &o.AddedBy, &expires, &revoked, &o.Reason); err != nil {
		return o, err
	}
	o.EnrolledAt, o.Expires, o.RevokedAt = fromMicros(enrolled), fromMicros(expires), fromMicros(revoked)
	return o, json.Unmarshal([]byte(grants), &o.Grants)
}

// Operator implements [webjob.Operators].
func (s operatorTable) Operator(ctx context.Context, name string) (webjob.Operator, error) {
	o, err := scanOperator(s.read.QueryRowContext(ctx, `SELECT `+operatorColumns+` FROM operators WHERE name = ?`, name))
	return o, one(err, "there is no operator %.80q here; webjobctl operator list shows who there is", name)
}

// ListOperators implements [webjob.Operators].
func (s operatorTable) ListOperators(ctx context.Context, p webjob.Page) ([]webjob.Operator, error) {
	return all(ctx, s.read, scanOperator, `SELECT `+operatorColumns+` FROM operators WHERE name > ? ORDER BY name LIMIT ?`, p.After, p.Limit)
}

// operator reads an operator within a change.
func operator(ctx context.Context, c *conn, name string) (webjob.Operator, error) {
	o, err := scanOperator(c.QueryRowContext(ctx, `SELECT `+operatorColumns+` FROM operators WHERE name = ?`, name))
	return o, one(err, "there is no operator %.80q here; webjobctl operator list shows who there is", name)
}

// AddOperator implements [webjob.Operators].
func (s operatorTable) AddOperator(ctx context.Context, secret webjob.Digest, o webjob.Operator, certificate webjob.Certificate) (added webjob.Operator, err error) {
	err = s.quietly(ctx, func(ctx context.Context, c *conn) error {
		token, err := useToken(ctx, c, secret, webjob.RoleOperator, o.Name)
		if err != nil {
			return err
		}
		if token.Readmits() {
			_, err = c.ExecContext(ctx, `UPDATE operators SET key = ?, expires = ?, enrolled_at = ?, added_by = ?, revoked_at = NULL, reason = '' WHERE name = ?`,
				o.Key, micros(certificate.NotAfter), micros(o.EnrolledAt), token.MadeBy, o.Name)
		} else {
			err = insertOperator(ctx, c, o, token, certificate)
		}
		if err != nil {
			return err
		}
		if added, err = operator(ctx, c, o.Name); err != nil {
			return err
		}
		return addCertificate(ctx, c, webjob.RoleOperator, o.Name, certificate)
	})
	return added, err
}

func insertOperator(ctx context.Context, c *conn, o webjob.Operator, token webjob.Token, certificate webjob.Certificate) error {
	grants, err := json.Marshal(token.Grants)
	if err != nil {
		return err
	}
	_, err = c.ExecContext(ctx, `INSERT INTO operators (name, key, grants, enrolled_at, added_by, expires) VALUES (?, ?, ?, ?, ?, ?)`,
		o.Name, o.Key, string(grants), micros(o.EnrolledAt), token.MadeBy, micros(certificate.NotAfter))
	if isUnique(err) {
		return webjob.Errorf(webjob.Conflict, "operator name %s is taken; choose another with --name, or, if it is yours, ask an admin for: webjobctl operator renew %s", o.Name, o.Name)
	}
	return err
}

// ChangeOperator implements [webjob.Operators].
func (s operatorTable) ChangeOperator(ctx context.Context, name string, before, after []webjob.Grant, at time.Time) error {
	was, err := json.Marshal(before)
	if err != nil {
		return err
	}
	grants, err := json.Marshal(after)
	if err != nil {
		return err
	}
	return s.quietly(ctx, func(ctx context.Context, c *conn) error {
		o, err := operator(ctx, c, name)
		if err != nil {
			return err
		}
		n, err := affected(c.ExecContext(ctx, `UPDATE operators SET grants = ? WHERE name = ? AND grants = ? AND revoked_at IS NULL`, string(grants), name, string(was)))
		switch {
		case err != nil:
			return err
		case n == 0 && o.Revoked():
			return webjob.Errorf(webjob.Conflict, "operator %s is revoked; let it come back first: webjobctl operator renew %s", name, name)
		case n == 0:
			return webjob.Errorf(webjob.Conflict, "the roles of operator %s have changed meanwhile; look at them again: webjobctl operator show %s", name, name)
		}
		if administersLess(before, after) { // with one of these it could be an admin again
			if err := revokeTokensOf(ctx, c, name, at); err != nil {
				return err
			}
		}
		return keepAnAdmin(ctx, c, o, at)
	})
}

// administersLess reports whether a role of admin was taken away or narrowed.
func administersLess(before, after []webjob.Grant) bool {
	return !webjob.AdministersAll(after) && slices.ContainsFunc(before, func(g webjob.Grant) bool {
		return g.Role == webjob.Admin && !slices.Contains(after, g)
	})
}

// RevokeOperator implements [webjob.Operators].
func (s operatorTable) RevokeOperator(ctx context.Context, name, reason string, at time.Time) error {
	return s.quietly(ctx, func(ctx context.Context, c *conn) error {
		if err := revokeOperator(ctx, c, name, reason, at, true); err != nil {
			return err
		}
		return revokeTokensOf(ctx, c, name, at)
	})
}

// revokeOperator ends what an operator had, but not what it made. Another admin must be
// left when that is asked.
func revokeOperator(ctx context.Context, c *conn, name, reason string, at time.Time, keepAdmin bool) error {
	o, err := operator(ctx, c, name)
	if err != nil {
		return err
	}
	if _, err := c.ExecContext(ctx, `UPDATE operators SET revoked_at = ?, reason = ? WHERE name = ? AND revoked_at IS NULL`, micros(at), reason, name); err != nil {
		return err
	}
	if keepAdmin {
		if err := keepAnAdmin(ctx, c, o, at); err != nil {
			return err
		}
	}
	return revokeHolder(ctx, c, webjob.RoleOperator, name, at)
}

// keepAnAdmin refuses a change after which nobody administers all clients any more.
func keepAnAdmin(ctx context.Context, c *conn, before webjob.Operator, at time.Time) error {
	if before.Revoked() || !webjob.AdministersAll(before.Grants) {
		return nil // it was none
	}
	holding, err := rowsOf(ctx, c, scanOperator, `SELECT `+operatorColumns+` FROM operators WHERE revoked_at IS NULL AND expires > ?`, micros(at))
	if err != nil {
		return err
	}
	for _, o := range holding {
		if webjob.AdministersAll(o.Grants) {
			return nil
		}
	}
	return webjob.Errorf(webjob.Refused, "operator %s is the last admin of all clients, and then nobody could let anyone in; make another admin first: webjobctl operator add --role admin", before.Name)
}

// RenewOperator implements [webjob.Operators].
func (s operatorTable) RenewOperator(ctx context.Context, name string, key webjob.Digest, certificate webjob.Certificate) error {
	return s.quietly(ctx, func(ctx context.Context, c *conn) error {
		n, err := affected(c.ExecContext(ctx, `UPDATE operators SET expires = ? WHERE name = ? AND key = ? AND revoked_at IS NULL`, micros(certificate.NotAfter), name, key))
		if err != nil {
			return err
		}
		if n == 0 {
			return webjob.Errorf(webjob.Conflict, "operator %s has another key now, or was revoked", name)
		}
		return addCertificate(ctx, c, webjob.RoleOperator, name, certificate)
	})
}
