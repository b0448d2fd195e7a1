package sqlite

import (
	"context"
	"database/sql"
	"fmt"
)

// LimitPages keeps the file at its size, as a full disk would, until the returned
// function is called.
func LimitPages(s *Store, pages int) (lift func()) {
	set := func(n int) {
		err := s.writer.do(context.Background(), func(ctx context.Context, c *sql.Conn) error {
			_, err := c.ExecContext(ctx, fmt.Sprintf(`PRAGMA max_page_count = %d`, n))
			return err
		})
		if err != nil {
			panic(err)
		}
	}
	set(pages)
	return func() { set(1 << 30) }
}
