package sqlite

import (
	"context"
	"database/sql"
	"math/big"
	"time"

	"webjob.dev/webjob"
)

func addCertificate(ctx context.Context, c *conn, role webjob.Role, holder string, certificate webjob.Certificate) error {
	_, err := c.ExecContext(ctx, `INSERT INTO certificates (serial, role, holder, not_after) VALUES (?, ?, ?, ?)`,
		certificate.Serial.String(), role, holder, micros(certificate.NotAfter))
	return err
}

// revokeHolder revokes the certificates of a client or operator, and the tokens that
// name it.
func revokeHolder(ctx context.Context, c *conn, role webjob.Role, holder string, at time.Time) error {
	if _, err := c.ExecContext(ctx, `UPDATE certificates SET revoked_at = ? WHERE role = ? AND holder = ? AND revoked_at IS NULL`, micros(at), role, holder); err != nil {
		return err
	}
	return revokeTokensFor(ctx, c, role, holder, at)
}

// RevokedCertificates implements [webjob.Clients].
func (s clientTable) RevokedCertificates(ctx context.Context, now time.Time) ([]webjob.RevokedCertificate, error) {
	return all(ctx, s.read, func(row scanner) (webjob.RevokedCertificate, error) {
		var r webjob.RevokedCertificate
		var serial string
		var revoked sql.NullInt64
		if err := row.Scan(&r.Role, &r.Holder, &serial, &revoked); err != nil {
			return r, err
		}
		r.At = fromMicros(revoked)
		var ok bool
		if r.Serial, ok = new(big.Int).SetString(serial, 10); !ok {
			return r, webjob.Errorf(webjob.Internal, "serial number %.80q is damaged", serial)
		}
		return r, nil
	}, `SELECT role, holder, serial, revoked_at FROM certificates WHERE revoked_at IS NOT NULL AND not_after > ? ORDER BY serial`, micros(now))
}

// PruneCertificates implements [webjob.Clients].
func (s clientTable) PruneCertificates(ctx context.Context, now time.Time) error {
	return s.quietly(ctx, func(ctx context.Context, c *conn) error {
		_, err := c.ExecContext(ctx, `DELETE FROM certificates WHERE not_after <= ?`, micros(now))
		return err
	})
}
