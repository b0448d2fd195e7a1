// Package sqlite keeps metadata in one SQLite file: the default for one server.
//
// Every change goes through one writer that gathers the changes waiting at that
// moment into one transaction, so that many requests share one disk sync. Reads
// use connections of their own and never wait for a writer (WAL mode). A call
// that returned nil survives a crash of the machine (synchronous FULL).
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"time"

	"github.com/pressly/goose/v3"
	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"webjob.dev/webjob"
)

//go:embed migrations/*.sql
var migrations embed.FS

// readers is the number of reading connections; each holds a page cache.
const readers = 8

// Store is a [webjob.Store] in one file: its tables, each kind of them by itself.
type Store struct {
	*file
	auditTable
	clientTable
	deliveryTable
	holdTable
	jobTable
	operatorTable
	orderTable
	repositoryTable
	resultTable
	tokenTable
}

// file is the open file that the tables share.
type file struct {
	read   *sql.DB
	write  *sql.DB
	writer *writer
	*lookups
}

type (
	auditTable      struct{ *file } // and leases
	clientTable     struct{ *file } // and their certificates and tickets
	deliveryTable   struct{ *file } // and notes
	holdTable       struct{ *file }
	jobTable        struct{ *file }
	operatorTable   struct{ *file }
	orderTable      struct{ *file } // and their runs
	repositoryTable struct{ *file }
	resultTable     struct{ *file }
	tokenTable      struct{ *file }
)

var _ webjob.Store = (*Store)(nil)

// Open opens or creates the file and brings its tables up to date. A file made by
// a newer program is refused.
func Open(ctx context.Context, name string) (*Store, error) {
	// SQLite would make the file readable for others; its journals copy the mode.
	made, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "metadata: %w", err)
	}
	if err := made.Close(); err != nil {
		return nil, err
	}
	write, err := open(name, "immediate", 1)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, write); err != nil {
		return nil, errors.Join(fmt.Errorf("metadata %s: %w", name, err), write.Close())
	}
	read, err := open(name, "deferred", readers)
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	f := &file{read: read, write: write, lookups: newLookups()}
	if f.writer, err = startWriter(ctx, write, f.forget); err != nil {
		return nil, errors.Join(err, read.Close(), write.Close())
	}
	return &Store{
		file: f, auditTable: auditTable{f}, clientTable: clientTable{f}, deliveryTable: deliveryTable{f}, holdTable: holdTable{f}, jobTable: jobTable{f},
		operatorTable: operatorTable{f}, orderTable: orderTable{f}, repositoryTable: repositoryTable{f}, resultTable: resultTable{f}, tokenTable: tokenTable{f},
	}, nil
}

func open(file, lock string, connections int) (*sql.DB, error) {
	options := url.Values{"_txlock": {lock}, "_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)",
		"cache_size(-16000)", "temp_store(MEMORY)", "wal_autocheckpoint(4000)",
	}}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: file}).EscapedPath()+"?"+options.Encode())
	if err != nil {
		return nil, backendError(err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return err
	}
	have, err := provider.GetDBVersion(ctx)
	if err != nil {
		return backendError(err)
	}
	sources := provider.ListSources()
	if newest := sources[len(sources)-1].Version; have > newest {
		return webjob.Errorf(webjob.Invalid, "its tables have version %d and this program knows %d; use the newer webjobd", have, newest)
	}
	if _, err := provider.Up(ctx); err != nil {
		return backendError(err)
	}
	return nil
}

// Close waits for the changes under way.
func (s *Store) Close() error {
	s.writer.stop()
	return errors.Join(s.read.Close(), s.write.Close())
}

// Ping implements [webjob.Store]: it reads, and makes an empty commit. A disk that hangs
// does not hold it longer than ctx.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.read.PingContext(ctx); err != nil {
		return backendError(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.quietly(ctx, func(context.Context, *conn) error { return nil }) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return backendError(ctx.Err())
	}
}

// newestActs is among how many of the newest acts the highest time is looked for. There is
// no index by time, and a clock that was put back long ago is of no concern any more.
const newestActs = 10_000

// NewestTime implements [webjob.Store].
func (s *Store) NewestTime(ctx context.Context) (time.Time, error) {
	var newest sql.NullInt64
	err := s.read.QueryRowContext(ctx, `SELECT max(at) FROM (SELECT (SELECT max(received) FROM results) AS at
		UNION ALL SELECT max(at) FROM (SELECT at FROM audit ORDER BY sequence DESC LIMIT ?))`, newestActs).Scan(&newest)
	return fromMicros(newest), backendError(err)
}

// backendError gives an error of SQLite its kind: what may pass is Unavailable,
// so that clients keep their copy and try again.
func backendError(err error) error {
	var e *driver.Error
	switch {
	case err == nil, webjob.KindOf(err) != webjob.Internal:
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return webjob.Errorf(webjob.Unavailable, "metadata: %w", err)
	case errors.As(err, &e):
		switch e.Code() & 0xff { // the primary code
		case sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
			return webjob.Errorf(webjob.Unavailable, "the server cannot store now: metadata: %w", err)
		}
	}
	return webjob.Errorf(webjob.Internal, "metadata: %w", err)
}

// isUnique reports whether err says that a key exists already.
func isUnique(err error) bool {
	var e *driver.Error
	return errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// micros and fromMicros translate times; the zero time is NULL.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

func fromMicros(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.UnixMicro(n.Int64).UTC()
}

// scanner is a row or rows.
type scanner interface{ Scan(targets ...any) error }

// one translates "no rows" into NotFound with the given words.
func one(err error, format string, args ...any) error {
	if errors.Is(err, sql.ErrNoRows) {
		return webjob.Errorf(webjob.NotFound, format, args...)
	}
	return backendError(err)
}

// all runs a query and scans every row.
func all[T any](ctx context.Context, q querier, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, backendError(err)
	}
	items, err := collect(rows, scan)
	return items, backendError(err)
}

// collect scans every row and closes the rows.
func collect[T any](rows *sql.Rows, scan func(scanner) (T, error)) ([]T, error) {
	defer func() { _ = rows.Close() }() // its errors are those of Err
	var items []T
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, rows.Err()
}

// changeOf makes a change that answers about the subjects depend on, to which the change
// itself may add, and quietly one that nothing that is looked up depends on.
func (s *file) changeOf(ctx context.Context, about *subjects, apply func(context.Context, *conn) error) error {
	return s.make(ctx, change{apply: apply, about: about})
}

func (s *file) quietly(ctx context.Context, apply func(context.Context, *conn) error) error {
	return s.make(ctx, change{apply: apply})
}

// unrecorded is quietly for what is not done for its own sake: the act of the context waits
// for the change that it is about.
func (s *file) unrecorded(ctx context.Context, apply func(context.Context, *conn) error) error {
	return s.writer.do(ctx, change{apply: apply})
}

func (s *file) make(ctx context.Context, c change) error {
	withAct, failed := recorded(ctx, c.apply)
	c.apply = withAct
	err := s.writer.do(ctx, c)
	if err != nil {
		failed()
	}
	return err
}
