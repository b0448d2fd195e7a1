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
		Exec(s, fmt.Sprintf(`PRAGMA max_page_count = %d`, n))
	}
	set(pages)
	return func() { set(1 << 30) }
}

// Exec makes a change of its own.
func Exec(s *Store, statement string) {
	err := s.change(context.Background(), func(ctx context.Context, c *sql.Conn) error {
		_, err := c.ExecContext(ctx, statement)
		return err
	})
	if err != nil {
		panic(err)
	}
}
