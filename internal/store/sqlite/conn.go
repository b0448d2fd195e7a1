package sqlite

import (
	"context"
	"database/sql"

	lru "github.com/hashicorp/golang-lru/v2"

	"webjob.dev/webjob"
)

// maxPrepared is how many statements the writer keeps prepared: about as many as there are.
const maxPrepared = 256

// conn is the writer's connection. It prepares a statement once, since that takes as long as
// carrying it out. Only one goroutine uses it.
type conn struct {
	conn     *sql.Conn
	prepared *lru.Cache[string, *sql.Stmt]
	counted  []counted // runs of orders, by the changes of this transaction
	revoked  []string  // ids of tokens that the change under way made useless along the way
}

// counted are runs by state that an order has more, or fewer.
type counted struct {
	order  int64 // its sequence
	counts webjob.Counts
}

func newConn(ctx context.Context, db *sql.DB) (*conn, error) {
	one, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	prepared, err := lru.NewWithEvict(maxPrepared, func(_ string, s *sql.Stmt) { _ = s.Close() }) // its errors are those of its use
	if err != nil {
		return nil, err
	}
	return &conn{conn: one, prepared: prepared}, nil
}

// close releases the statements, too: SQLite keeps a file's journal as long as any is left.
func (c *conn) close() error {
	c.prepared.Purge()
	return c.conn.Close()
}

func (c *conn) statement(ctx context.Context, text string) (*sql.Stmt, error) {
	if s, ok := c.prepared.Get(text); ok {
		return s, nil
	}
	s, err := c.conn.PrepareContext(ctx, text)
	if err == nil {
		c.prepared.Add(text, s)
	}
	return s, err
}

// ExecContext carries a statement out.
func (c *conn) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	s, err := c.statement(ctx, text) //nolint:sqlclosecheck // kept, and closed by close
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

// QueryRowContext returns the one row of a query. It is to be scanned before anything else
// is done.
func (c *conn) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	s, err := c.statement(ctx, text) //nolint:sqlclosecheck // kept, and closed by close
	if err != nil {
		return c.conn.QueryRowContext(ctx, text, args...) // a row has its error
	}
	return s.QueryRowContext(ctx, args...)
}

// QueryContext returns the rows of a query. They are to be read before it is asked again.
func (c *conn) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	s, err := c.statement(ctx, text) //nolint:sqlclosecheck // kept, and closed by close
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// count notes that an order has more or fewer runs in some states. The counts of all changes
// of a transaction are stored together, before its end.
func (c *conn) count(order int64, counts webjob.Counts) {
	c.counted = append(c.counted, counted{order, counts})
}

// storeCounts stores what was counted.
func (c *conn) storeCounts(ctx context.Context) error {
	orders := map[int64]webjob.Counts{}
	for _, counted := range c.counted {
		if orders[counted.order] == nil {
			orders[counted.order] = webjob.Counts{}
		}
		for state, n := range counted.counts {
			orders[counted.order][state] += n
		}
	}
	for order, counts := range orders {
		for state, n := range counts {
			if n == 0 {
				continue
			}
			if _, err := c.ExecContext(ctx, `INSERT INTO order_counts (order_no, state, n) VALUES (?, ?, ?)
				ON CONFLICT (order_no, state) DO UPDATE SET n = n + excluded.n`, order, state, n); err != nil {
				return err
			}
		}
	}
	return nil
}
