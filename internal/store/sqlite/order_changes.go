package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"
	"time"

	"webjob.dev/webjob"
)

// ChangeOrder implements [webjob.Orders].
func (s orderTable) ChangeOrder(ctx context.Context, change webjob.OrderChange) (webjob.OrderStatus, error) {
	o := change.Order
	signed, err := json.Marshal(o.SignedBy)
	if err != nil {
		return o, err
	}
	err = s.quietly(ctx, func(ctx context.Context, c *conn) error {
		number, err := orderNumber(ctx, c, o.ID)
		if err != nil {
			return err
		}
		changed, err := affected(c.ExecContext(ctx, `UPDATE orders SET revision = revision + 1, state = ?, reason = ?, forgiven = ?, waived = ?, cancelled = ?,
			next_at = ?, ended_at = ?, envelope = ?, signed_by = ? WHERE sequence = ? AND revision = ?`,
			o.State, o.Reason, o.Forgiven, o.Waived, o.Cancelled, micros(o.NextAt), micros(o.EndedAt), o.Envelope, string(signed), number, o.Revision))
		if err != nil {
			return err
		}
		if changed == 0 {
			return webjob.Errorf(webjob.Conflict, "order %s was changed meanwhile; try again", o.ID)
		}
		for _, move := range change.Moves {
			if _, err := moveRuns(ctx, c, number, move, change.At); err != nil {
				return err
			}
		}
		if _, err := insertRuns(ctx, c, number, change.Add); err != nil {
			return err
		}
		if change.NoneOpen {
			if err := noneOpen(ctx, c, number, o.ID); err != nil {
				return err
			}
		}
		return insertDeliveries(ctx, c, change.Deliveries)
	})
	if err != nil {
		return o, err
	}
	return s.Order(ctx, o.ID)
}

func noneOpen(ctx context.Context, c *conn, number int64, id string) error {
	var open bool
	err := c.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM order_runs WHERE order_no = ? AND state IN ('queued', 'offered'))`, number).Scan(&open)
	if err == nil && open {
		return webjob.Errorf(webjob.Conflict, "order %s has runs that have not ended", id)
	}
	return err
}

// JoinOrder implements [webjob.Orders].
func (s orderTable) JoinOrder(ctx context.Context, order string, runs []webjob.OrderRun) (added []webjob.OrderRun, err error) {
	err = s.quietly(ctx, func(ctx context.Context, c *conn) error {
		added = nil
		number, err := orderNumber(ctx, c, order)
		if err != nil {
			return err
		}
		var ended bool
		if err := c.QueryRowContext(ctx, `SELECT ended_at IS NOT NULL FROM orders WHERE sequence = ?`, number).Scan(&ended); err != nil || ended {
			return err
		}
		added, err = insertRuns(ctx, c, number, runs)
		return err
	})
	if err != nil {
		return nil, err
	}
	return added, nil
}

// OfferRuns implements [webjob.Orders].
func (s orderTable) OfferRuns(ctx context.Context, offers []webjob.Offer, until time.Time) (given []string, err error) {
	at := time.Now()
	err = s.quietly(ctx, func(ctx context.Context, c *conn) error {
		given = given[:0]
		var wanted []string
		for _, offer := range offers {
			if may, err := takeStart(ctx, c, offer); err != nil {
				return err
			} else if may {
				wanted = append(wanted, offer.Run)
			}
		}
		list, err := json.Marshal(wanted)
		if err != nil {
			return err
		}
		counts := map[int64]int64{}
		for _, state := range []webjob.RunState{webjob.RunOffered, webjob.RunQueued} { // none twice
			runs, err := rowsOf(ctx, c, func(row scanner) (run string, err error) {
				var number int64
				if err = row.Scan(&run, &number); state == webjob.RunQueued {
					counts[number]++
				}
				return run, err
			}, `UPDATE order_runs SET state = 'offered', offered_until = ?, updated = ? WHERE run IN (SELECT value FROM json_each(?)) AND state = ?
				AND EXISTS (SELECT 1 FROM orders WHERE sequence = order_no AND orders.state = 'open') RETURNING run, order_no`,
				micros(until), micros(at), string(list), state)
			if err != nil {
				return err
			}
			given = append(given, runs...)
		}
		for number, n := range counts {
			c.count(number, webjob.Counts{webjob.RunQueued: -n, webjob.RunOffered: n})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return given, nil
}

// takeStart takes a place of the rate, when the run needs one and may still be offered.
func takeStart(ctx context.Context, c *conn, offer webjob.Offer) (bool, error) {
	if offer.NextStart.IsZero() {
		return true, nil
	}
	n, err := affected(c.ExecContext(ctx, `UPDATE orders SET next_start = ?1 WHERE id = ?2 AND next_start IS ?3 AND state = 'open'
		AND EXISTS (SELECT 1 FROM order_runs WHERE run = ?4 AND order_runs.state IN ('queued', 'offered'))`,
		micros(offer.NextStart), offer.Order, micros(offer.Start), offer.Run))
	return n == 1, err
}

// HoldRuns implements [webjob.Orders].
func (s orderTable) HoldRuns(ctx context.Context, runs []string, until time.Time) error {
	return s.quietly(ctx, func(ctx context.Context, c *conn) error {
		for _, run := range runs {
			var number int64
			var before webjob.RunState
			err := c.QueryRowContext(ctx, `SELECT order_no, state FROM order_runs WHERE run = ? AND state IN ('queued', 'offered')`, run).Scan(&number, &before)
			if webjob.KindOf(one(err, "")) == webjob.NotFound {
				continue
			}
			if err != nil {
				return err
			}
			if _, err := c.ExecContext(ctx, `UPDATE order_runs SET state = 'offered', offered_until = ? WHERE run = ?`, micros(until), run); err != nil {
				return err
			}
			if before == webjob.RunQueued {
				c.count(number, webjob.Counts{webjob.RunQueued: -1, webjob.RunOffered: 1})
			}
		}
		return nil
	})
}

// MoveRuns implements [webjob.Orders].
func (s orderTable) MoveRuns(ctx context.Context, order string, move webjob.RunMove, at time.Time) (moved int64, err error) {
	err = s.quietly(ctx, func(ctx context.Context, c *conn) error {
		number, err := orderNumber(ctx, c, order)
		if err != nil {
			return err
		}
		moved, err = moveRuns(ctx, c, number, move, at)
		return err
	})
	return moved, err
}

func moveRuns(ctx context.Context, c *conn, number int64, move webjob.RunMove, at time.Time) (moved int64, err error) {
	if move.While != "" {
		var state webjob.OrderState
		if err := c.QueryRowContext(ctx, `SELECT state FROM orders WHERE sequence = ?`, number).Scan(&state); err != nil || state != move.While {
			return 0, err
		}
	}
	counts := webjob.Counts{}
	for _, from := range move.From {
		statement := `UPDATE order_runs SET state = ?, updated = ?, offered_until = NULL WHERE order_no = ? AND state = ?`
		args := []any{move.To, micros(at), number, from}
		if from == webjob.RunOffered && !move.OfferedBefore.IsZero() {
			statement, args = statement+` AND coalesce(offered_until, 0) < ?`, append(args, micros(move.OfferedBefore))
		}
		each := [][]any{nil}
		if move.Runs != nil {
			statement, each = statement+` AND run = ?`, nil
			for _, run := range move.Runs {
				each = append(each, []any{run})
			}
		}
		for _, more := range each {
			n, err := affected(c.ExecContext(ctx, statement, append(args[:len(args):len(args)], more...)...))
			if err != nil {
				return 0, err
			}
			counts[from] -= n
			counts[move.To] += n
			moved += n
		}
	}
	c.count(number, counts)
	return moved, nil
}

// SwapRanks implements [webjob.Orders].
func (s orderTable) SwapRanks(ctx context.Context, order, run, other string) error {
	return s.quietly(ctx, func(ctx context.Context, c *conn) error {
		number, err := orderNumber(ctx, c, order)
		if err != nil {
			return err
		}
		var ranks [2]int64
		for i, r := range []string{run, other} {
			err := c.QueryRowContext(ctx, `SELECT rank FROM order_runs WHERE run = ? AND order_no = ? AND state = 'queued'`, r, number).Scan(&ranks[i])
			if webjob.KindOf(one(err, "")) == webjob.NotFound {
				return webjob.Errorf(webjob.Conflict, "run %s does not wait any more", r)
			}
			if err != nil {
				return err
			}
		}
		for i, r := range []string{other, run} {
			if _, err := c.ExecContext(ctx, `UPDATE order_runs SET rank = ? WHERE run = ?`, ranks[i], r); err != nil {
				return err
			}
		}
		return nil
	})
}

// affected returns how many rows a statement changed.
func affected(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// marks returns n question marks for a list.
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

func anys[T any](values []T) []any {
	list := make([]any, len(values))
	for i, v := range values {
		list[i] = v
	}
	return list
}
