package sqlite

import (
	"context"
	"database/sql"
	"math/big"
	"time"

	"webjob.dev/webjob"
)

// AddCertificate implements [webjob.Clients].
func (s *Store) AddCertificate(ctx context.Context, client string, serial *big.Int, notAfter time.Time) error {
	return s.quietly(ctx, func(ctx context.Context, c *sql.Conn) error {
		_, err := c.ExecContext(ctx, `INSERT INTO certificates (serial, client, not_after) VALUES (?, ?, ?)`, serial.String(), client, micros(notAfter))
		return err
	})
}

// RevokedCertificates implements [webjob.Clients].
func (s *Store) RevokedCertificates(ctx context.Context, now time.Time) ([]webjob.RevokedCertificate, error) {
	return all(ctx, s.read, func(row scanner) (webjob.RevokedCertificate, error) {
		var r webjob.RevokedCertificate
		var serial string
		var revoked sql.NullInt64
		if err := row.Scan(&r.Client, &serial, &revoked); err != nil {
			return r, err
		}
		r.At = fromMicros(revoked)
		var ok bool
		if r.Serial, ok = new(big.Int).SetString(serial, 10); !ok {
			return r, webjob.Errorf(webjob.Internal, "serial number %.80q is damaged", serial)
		}
		return r, nil
	}, `SELECT client, serial, revoked_at FROM certificates JOIN clients ON clients.id = client WHERE revoked_at IS NOT NULL AND not_after > ? ORDER BY serial`, micros(now))
}

// PruneCertificates implements [webjob.Clients].
func (s *Store) PruneCertificates(ctx context.Context, now time.Time) error {
	return s.quietly(ctx, func(ctx context.Context, c *sql.Conn) error {
		_, err := c.ExecContext(ctx, `DELETE FROM certificates WHERE not_after <= ?`, micros(now))
		return err
	})
}
