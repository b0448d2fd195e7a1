package sqlite

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
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
	err := s.quietly(context.Background(), func(ctx context.Context, c *conn) error {
		_, err := c.ExecContext(ctx, statement)
		return err
	})
	if err != nil {
		panic(err)
	}
	s.clients.known.Purge()
	s.jobs.known.Purge()
}

// OpenAt makes a file with the tables of an earlier version and fills it.
func OpenAt(ctx context.Context, file string, version int64, statements ...string) error {
	db, err := open(file, "immediate", 1)
	if err != nil {
		return err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return err
	}
	if _, err := provider.UpTo(ctx, version); err != nil {
		return err
	}
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return db.Close()
}

// Remembers reports whether a client and a job are remembered.
func Remembers(s *Store, client, job string) (bool, bool) {
	return s.clients.known.Contains(client), s.jobs.known.Contains(job)
}
