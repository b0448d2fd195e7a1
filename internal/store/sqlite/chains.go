package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"

	"webjob.dev/webjob"
)

// SaveChains implements [webjob.Clients].
func (s clientTable) SaveChains(ctx context.Context, chains []webjob.Chain) error {
	return s.quietly(ctx, func(ctx context.Context, c *conn) error {
		for _, chain := range chains {
			_, err := c.ExecContext(ctx, `INSERT INTO chains (client, line, generation, number, ticket, address, at) VALUES (?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (client, line) DO UPDATE SET generation = excluded.generation, number = excluded.number, ticket = excluded.ticket,
					address = excluded.address, at = excluded.at
				WHERE (excluded.generation, excluded.number) >= (chains.generation, chains.number)`,
				chain.Client, chain.Line, int64(chain.Generation), int64(chain.Number), chain.Ticket, chain.Address, micros(chain.At)) //nolint:gosec // both count what happened
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Chains implements [webjob.Clients].
func (s clientTable) Chains(ctx context.Context, visit func(webjob.Chain) error) error {
	_, err := all(ctx, s.read, func(row scanner) (struct{}, error) {
		var chain webjob.Chain
		var generation, number int64
		var at sql.NullInt64
		if err := row.Scan(&chain.Client, &chain.Line, &generation, &number, &chain.Ticket, &chain.Address, &at); err != nil {
			return struct{}{}, err
		}
		chain.Generation, chain.Number, chain.At = uint64(generation), uint64(number), fromMicros(at) //nolint:gosec // both were stored from such
		return struct{}{}, visit(chain)
	}, `SELECT client, line, generation, number, ticket, address, at FROM chains`)
	return err
}

// AddClone implements [webjob.Clients].
func (s clientTable) AddClone(ctx context.Context, clone webjob.Clone, deliveries []webjob.Delivery) error {
	encoded, err := json.Marshal(clone)
	if err != nil {
		return err
	}
	return s.changeOf(ctx, &subjects{clients: []string{clone.Client}}, func(ctx context.Context, c *conn) error {
		if _, err := c.ExecContext(ctx, `UPDATE clients SET clone = ? WHERE id = ?`, string(encoded), clone.Client); err != nil {
			return err
		}
		return insertDeliveries(ctx, c, deliveries)
	})
}

// ForgetClone implements [webjob.Clients].
func (s clientTable) ForgetClone(ctx context.Context, client string) error {
	return s.setClient(ctx, client, `UPDATE clients SET clone = NULL WHERE id = ?`)
}
