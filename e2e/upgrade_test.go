package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/rogpeppe/go-internal/testscript"
)

// versionBefore is the newest migration of the version before.
const versionBefore = 6

// cmdDowngrade gives a server that is stopped the metadata that the version before would
// have: its tables, and what they can hold of what is there. downgrade DIR.
func cmdDowngrade(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || daemonsOf(ts)[args[0]] != nil {
		ts.Fatalf("usage: downgrade DIR, of a server that is stopped")
	}
	file := ts.MkAbs(filepath.Join(args[0], "metadata.db"))
	before := file + ".before"
	ts.Check(oldTables(before))
	db, err := sql.Open("sqlite", "file:"+before)
	ts.Check(err)
	db.SetMaxOpenConns(1) // a file is attached to a connection
	_, err = db.Exec(`ATTACH ? AS new`, file)
	ts.Check(err)
	tables, err := texts(db, `SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'goose_%'`)
	ts.Check(err)
	for _, table := range tables {
		ts.Check(copyTable(db, table))
	}
	ts.Check(db.Close())
	for _, end := range []string{"-wal", "-shm"} {
		_ = os.Remove(file + end)
	}
	ts.Check(os.Rename(before, file))
}

func oldTables(file string) error {
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("../internal/store/sqlite/migrations"))
	if err != nil {
		return err
	}
	if _, err := provider.UpTo(context.Background(), versionBefore); err != nil {
		return err
	}
	return db.Close()
}

// oldTickets are the columns of tickets that clients did not choose.
var oldTickets = map[string]string{"counter": "number", "branch": "1", "abandoned": "'[]'"}

// copyTable copies what both versions have of a table.
func copyTable(db *sql.DB, table string) error {
	old, err := texts(db, fmt.Sprintf(`SELECT name FROM pragma_table_info('%s', 'main')`, table))
	if err != nil {
		return err
	}
	now, err := texts(db, fmt.Sprintf(`SELECT name FROM pragma_table_info('%s', 'new')`, table))
	if err != nil {
		return err
	}
	var columns, values []string
	for _, column := range old {
		value := `"` + column + `"` // "trigger" is a word of SQL's own
		switch {
		case table == "certificates" && column == "client":
			value = "holder"
		case table == "chains" && oldTickets[column] != "":
			value = oldTickets[column]
		case strings.HasPrefix(table, "order_") && column == "state":
			value = "iif(state = 'offered', 'queued', state)" // which were not told apart
		case !slices.Contains(now, column):
			continue
		}
		columns, values = append(columns, `"`+column+`"`), append(values, value)
	}
	where := ""
	if table == "certificates" {
		where = " WHERE role = 'client'"
	}
	_, err = db.Exec(fmt.Sprintf(`INSERT INTO main.%s (%s) SELECT %s FROM new.%s%s`, table, strings.Join(columns, ", "), strings.Join(values, ", "), table, where))
	return err
}

func texts(db *sql.DB, query string) (list []string, err error) {
	rows, err := db.Query(query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	return list, rows.Err()
}
