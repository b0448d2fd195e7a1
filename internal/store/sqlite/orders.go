package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"webjob.dev/webjob"
)

// AddOrder implements [webjob.Orders].
func (s orderTable) AddOrder(ctx context.Context, o webjob.OrderStatus, runs []webjob.OrderRun) (added bool, err error) {
	document, err := json.Marshal(o.Order)
	if err != nil {
		return false, err
	}
	signed, err := json.Marshal(o.SignedBy)
	if err != nil {
		return false, err
	}
	err = s.quietly(ctx, func(ctx context.Context, c *conn) error {
		var known []byte
		err := c.QueryRowContext(ctx, `SELECT envelope FROM orders WHERE id = ?`, o.ID).Scan(&known)
		if err == nil {
			if !bytes.Equal(known, o.Envelope) {
				return webjob.Errorf(webjob.Conflict, "order %s exists already; give the new one another id", o.ID)
			}
			return nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		inserted, err := c.ExecContext(ctx, `INSERT INTO orders (id, job, tag, document, envelope, signed_by, created_by, state, next_at, within) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			o.ID, o.Job, o.Tag, string(document), o.Envelope, string(signed), o.CreatedBy, o.State, micros(o.NextAt), o.Within)
		if err != nil {
			return err
		}
		number, err := inserted.LastInsertId()
		if err != nil {
			return err
		}
		added = true
		_, err = insertRuns(ctx, c, number, runs)
		return err
	})
	return added && err == nil, err
}

// insertRuns adds the runs that are not there, counts them, and returns them.
func insertRuns(ctx context.Context, c *conn, order int64, runs []webjob.OrderRun) (added []webjob.OrderRun, err error) {
	if len(runs) == 0 {
		return nil, nil
	}
	counts := webjob.Counts{}
	for _, r := range runs {
		n, err := affected(c.ExecContext(ctx, `INSERT INTO order_runs (run, order_no, client, at, rank, state, updated) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run) DO NOTHING`,
			r.Run, order, r.Client, micros(r.At), r.Rank, r.State, micros(r.Updated)))
		if err != nil {
			return nil, err
		}
		if n == 1 {
			added = append(added, r)
		}
		counts[r.State] += n
	}
	c.count(order, counts)
	return added, nil
}

// orderNumber turns an id into the key of the other tables.
func orderNumber(ctx context.Context, q querier, id string) (int64, error) {
	var n int64
	err := q.QueryRowContext(ctx, `SELECT sequence FROM orders WHERE id = ?`, id).Scan(&n)
	return n, one(err, "order %s does not exist", id)
}

// querier is a connection, a pool of them, or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

const orderColumns = `sequence, document, envelope, signed_by, created_by, state, reason, forgiven, waived, next_at, ended_at, cancelled, within, next_start, revision`

func scanOrder(row scanner) (webjob.OrderStatus, error) {
	var o webjob.OrderStatus
	var document, signed string
	var next, ended, start sql.NullInt64
	if err := row.Scan(&o.Sequence, &document, &o.Envelope, &signed, &o.CreatedBy, &o.State, &o.Reason, &o.Forgiven, &o.Waived, &next, &ended,
		&o.Cancelled, &o.Within, &start, &o.Revision); err != nil {
		return o, err
	}
	o.NextAt, o.EndedAt, o.NextStart = fromMicros(next), fromMicros(ended), fromMicros(start)
	return o, errors.Join(json.Unmarshal([]byte(document), &o.Order), json.Unmarshal([]byte(signed), &o.SignedBy))
}

// Order implements [webjob.Orders].
func (s orderTable) Order(ctx context.Context, id string) (webjob.OrderStatus, error) {
	return orderOf(ctx, s.read, id)
}

func orderOf(ctx context.Context, q querier, id string) (webjob.OrderStatus, error) {
	o, err := scanOrder(q.QueryRowContext(ctx, `SELECT `+orderColumns+` FROM orders WHERE id = ?`, id))
	if err != nil {
		return o, one(err, "order %s does not exist", id)
	}
	orders := []webjob.OrderStatus{o}
	err = addCountsTo(ctx, q, orders)
	return orders[0], err
}

// addCountsTo fills in the counts of the orders.
func addCountsTo(ctx context.Context, q querier, orders []webjob.OrderStatus) error {
	for i := range orders {
		orders[i].Counts = webjob.Counts{}
		_, err := all(ctx, q, func(row scanner) (any, error) {
			var state webjob.RunState
			var n int64
			err := row.Scan(&state, &n)
			if n != 0 {
				orders[i].Counts[state] = n
			}
			return nil, err
		}, `SELECT state, n FROM order_counts WHERE order_no = ?`, orders[i].Sequence)
		if err != nil {
			return err
		}
	}
	return nil
}

// ListOrders implements [webjob.Orders].
func (s orderTable) ListOrders(ctx context.Context, f webjob.OrderFilter) ([]webjob.OrderStatus, error) {
	where, args := []string{"1"}, []any{}
	add := func(condition string, value any) {
		where, args = append(where, condition), append(args, value)
	}
	if f.Page.After != "" {
		add(`sequence < CAST(? AS INTEGER)`, f.Page.After)
	}
	if f.Job != "" {
		add(`job = ?`, f.Job)
	}
	if f.State != "" {
		add(`state = ?`, f.State)
	}
	if f.Tag != "" {
		add(`tag = ?`, f.Tag)
	}
	orders, err := all(ctx, s.read, scanOrder, `SELECT `+orderColumns+` FROM orders WHERE `+strings.Join(where, ` AND `)+
		` ORDER BY sequence DESC LIMIT ?`, append(args, f.Page.Limit)...)
	if err != nil {
		return nil, err
	}
	return orders, addCountsTo(ctx, s.read, orders)
}

const orderRunColumns = `number, run, orders.id, client, at, rank, order_runs.state, updated, offered_until`

func scanOrderRun(row scanner, number *int64) (webjob.OrderRun, error) {
	var r webjob.OrderRun
	var at, updated, until sql.NullInt64
	err := row.Scan(number, &r.Run, &r.Order, &r.Client, &at, &r.Rank, &r.State, &updated, &until)
	r.At, r.Updated, r.Until = fromMicros(at), fromMicros(updated), fromMicros(until)
	return r, err
}

// ListOrderRuns implements [webjob.Orders].
func (s orderTable) ListOrderRuns(ctx context.Context, order string, states []webjob.RunState, p webjob.Page) (runs []webjob.OrderRun, last string, err error) {
	sequence, err := orderNumber(ctx, s.read, order)
	if err != nil {
		return nil, "", err
	}
	after := int64(0)
	if p.After != "" {
		if after, err = strconv.ParseInt(p.After, 10, 64); err != nil {
			return nil, "", webjob.Errorf(webjob.Invalid, "after is %.40q; use the \"next\" of the page before", p.After)
		}
	}
	query := `SELECT ` + orderRunColumns + ` FROM order_runs JOIN orders ON orders.sequence = order_no WHERE order_no = ? AND number > ?`
	args := []any{sequence, after}
	if len(states) > 0 {
		query, args = query+` AND order_runs.state IN (`+marks(len(states))+`)`, append(args, anys(states)...)
	}
	var number int64
	runs, err = all(ctx, s.read, func(row scanner) (webjob.OrderRun, error) { return scanOrderRun(row, &number) },
		query+` ORDER BY number LIMIT ?`, append(args, p.Limit)...)
	return runs, strconv.FormatInt(number, 10), err
}

// OpenOrder implements [webjob.Orders].
func (s orderTable) OpenOrder(ctx context.Context, id string, visit func(webjob.OrderRun) error) (o webjob.OrderStatus, err error) {
	moment, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return o, backendError(err)
	}
	defer func() { _ = moment.Rollback() }() // it changed nothing
	if o, err = orderOf(ctx, moment, id); err != nil || !o.EndedAt.IsZero() {
		return o, err // no order ends before its runs
	}
	return o, openRuns(ctx, moment, visit, `orders.sequence = ?`, o.Sequence)
}

// OpenRuns implements [webjob.Orders].
func (s orderTable) OpenRuns(ctx context.Context, visit func(webjob.OrderRun) error) error {
	return openRuns(ctx, s.read, visit, `ended_at IS NULL`) // as above
}

// openRuns walks orders first, and then their runs by state: else SQLite would walk the runs
// that have ended, too, for the sake of the order.
func openRuns(ctx context.Context, q querier, visit func(webjob.OrderRun) error, where string, args ...any) error {
	var number int64
	_, err := all(ctx, q, func(row scanner) (struct{}, error) {
		r, err := scanOrderRun(row, &number)
		if err == nil {
			err = visit(r)
		}
		return struct{}{}, err
	}, `SELECT `+orderRunColumns+` FROM orders CROSS JOIN order_runs ON order_no = orders.sequence AND order_runs.state IN ('queued', 'offered')
		WHERE `+where+` ORDER BY +order_no, +number`, args...)
	return err
}

// endOrderRun moves the run of an order to the state that its result gives it. A
// late result counts: what was given up before it came did happen.
func endOrderRun(ctx context.Context, c *conn, r webjob.OrderRun, add bool) error {
	const end = `UPDATE order_runs SET state = ?, updated = ?, offered_until = NULL WHERE run = ?`
	var number int64
	before := webjob.RunOffered // as most are
	err := c.QueryRowContext(ctx, end+` AND client = ? AND state = ? RETURNING order_no`, r.State, micros(r.Updated), r.Run, r.Client, before).Scan(&number)
	if err == nil {
		c.count(number, webjob.Counts{before: -1, r.State: 1})
		return nil
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = c.QueryRowContext(ctx, `SELECT order_no, state FROM order_runs WHERE run = ? AND client = ?`, r.Run, r.Client).Scan(&number, &before)
	}
	if errors.Is(err, sql.ErrNoRows) {
		if !add {
			return nil
		}
		if number, err = orderNumber(ctx, c, r.Order); err != nil {
			return err
		}
		_, err = insertRuns(ctx, c, number, []webjob.OrderRun{r})
		return err
	}
	if err != nil {
		return err
	}
	if _, err := c.ExecContext(ctx, end, r.State, micros(r.Updated), r.Run); err != nil {
		return err
	}
	if before != r.State {
		c.count(number, webjob.Counts{before: -1, r.State: 1})
	}
	return nil
}
