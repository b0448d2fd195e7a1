package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"

	"webjob.dev/webjob"
)

// SaveChains implements [webjob.Clients].
func (s *Store) SaveChains(ctx context.Context, chains []webjob.Chain) error {
	return s.quietly(ctx, func(ctx context.Context, c *sql.Conn) error {
		for _, chain := range chains {
			abandoned, err := json.Marshal(chain.Abandoned)
			if err != nil {
				return err
			}
			_, err = c.ExecContext(ctx, `INSERT INTO chains (client, line, counter, branch, abandoned, address, at) VALUES (?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (client, line) DO UPDATE SET counter = excluded.counter, branch = excluded.branch, abandoned = excluded.abandoned,
					address = excluded.address, at = excluded.at`,
				chain.Client, chain.Line, int64(chain.Counter), int64(chain.Branch), string(abandoned), chain.Address, micros(chain.At)) //nolint:gosec // both stay below 2^63
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Chains implements [webjob.Clients].
func (s *Store) Chains(ctx context.Context, visit func(webjob.Chain) error) error {
	_, err := all(ctx, s.read, func(row scanner) (struct{}, error) {
		var chain webjob.Chain
		var counter, branch int64
		var abandoned string
		var at sql.NullInt64
		if err := row.Scan(&chain.Client, &chain.Line, &counter, &branch, &abandoned, &chain.Address, &at); err != nil {
			return struct{}{}, err
		}
		chain.Counter, chain.Branch, chain.At = uint64(counter), uint64(branch), fromMicros(at) //nolint:gosec // both were stored from such
		if err := json.Unmarshal([]byte(abandoned), &chain.Abandoned); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, visit(chain)
	}, `SELECT client, line, counter, branch, abandoned, address, at FROM chains`)
	return err
}

// AddClone implements [webjob.Clients].
func (s *Store) AddClone(ctx context.Context, clone webjob.Clone, deliveries []webjob.Delivery) error {
	encoded, err := json.Marshal(clone)
	if err != nil {
		return err
	}
	return s.change(ctx, func(ctx context.Context, c *sql.Conn) error {
		if _, err := c.ExecContext(ctx, `UPDATE clients SET clone = ? WHERE id = ?`, string(encoded), clone.Client); err != nil {
			return err
		}
		return insertDeliveries(ctx, c, deliveries)
	})
}

// ForgetClone implements [webjob.Clients].
func (s *Store) ForgetClone(ctx context.Context, client string) error {
	return s.setClient(ctx, client, `UPDATE clients SET clone = NULL WHERE id = ?`)
}
