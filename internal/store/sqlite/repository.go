package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"webjob.dev/webjob"
)

// RepositoryFiles implements [webjob.RepositoryFiles].
func (s repositoryTable) RepositoryFiles(ctx context.Context, visit func(string, []byte) error) error {
	rows, err := s.read.QueryContext(ctx, `SELECT name, content FROM repository_files ORDER BY name`)
	if err != nil {
		return backendError(err)
	}
	defer func() { _ = rows.Close() }() // only read
	for rows.Next() {
		var name string
		var content []byte
		if err := rows.Scan(&name, &content); err != nil {
			return backendError(err)
		}
		if err := visit(name, content); err != nil {
			return err
		}
	}
	return backendError(rows.Err())
}

// ChangeRepository implements [webjob.RepositoryFiles].
func (s repositoryTable) ChangeRepository(ctx context.Context, change webjob.RepositoryChange, at time.Time) error {
	var about subjects
	for _, v := range change.Publish {
		about.jobs = append(about.jobs, v.Name)
	}
	about.jobs = slices.AppendSeq(about.jobs, maps.Keys(change.Listed))
	about.clients = slices.Collect(maps.Keys(change.Labels))
	return s.changeOf(ctx, &about, func(ctx context.Context, c *conn) error {
		for name, want := range change.Was {
			if err := checkFile(ctx, c, name, want); err != nil {
				return err
			}
		}
		for _, number := range change.Held {
			if err := checkHold(ctx, c, number); err != nil {
				return err
			}
		}
		for name, content := range change.Files {
			query, args := `INSERT INTO repository_files (name, content) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET content = excluded.content`, []any{name, content}
			if len(content) == 0 {
				query, args = `DELETE FROM repository_files WHERE name = ?1`, args[:1]
			}
			if _, err := c.ExecContext(ctx, query, args...); err != nil {
				return err
			}
			if err := holdForFile(ctx, c, name, len(content) > 0); err != nil {
				return err
			}
		}
		for _, v := range change.Publish {
			if err := publish(ctx, c, v); err != nil {
				return err
			}
		}
		for job, listed := range change.Listed {
			if err := list(ctx, c, job, listed, at); err != nil {
				return err
			}
		}
		for client, labels := range change.Labels {
			encoded, err := json.Marshal(labels)
			if err != nil {
				return err
			}
			if _, err := c.ExecContext(ctx, `UPDATE clients SET labels = ? WHERE id = ?`, string(encoded), client); err != nil {
				return err
			}
		}
		return nil
	})
}

// checkFile reports a file that has other contents than expected.
func checkFile(ctx context.Context, c *conn, name string, want webjob.Digest) error {
	var content []byte
	err := c.QueryRowContext(ctx, `SELECT content FROM repository_files WHERE name = ?`, name).Scan(&content)
	missing := errors.Is(err, sql.ErrNoRows)
	switch {
	case err != nil && !missing:
		return err
	case missing != (want == ""), !missing && webjob.DigestOf(content) != want:
		return webjob.Errorf(webjob.Conflict, "the job repository was changed meanwhile; try again")
	}
	return nil
}

// holdForFile makes the server's own holds for a file last as long as the file.
func holdForFile(ctx context.Context, c *conn, name string, stays bool) error {
	if !stays {
		_, err := endHolds(ctx, c, `owner = '' AND use = ?`, name)
		return err
	}
	_, err := c.ExecContext(ctx, `UPDATE blob_holds SET ends = NULL WHERE owner = '' AND use = ?`, name)
	return err
}

// list marks the versions of a job that are not listed as withdrawn, and takes the mark
// from those that are.
func list(ctx context.Context, c *conn, job string, listed []int64, at time.Time) error {
	numbers, err := json.Marshal(append([]int64{}, listed...)) // an empty list, not null
	if err != nil {
		return err
	}
	_, err = c.ExecContext(ctx, `UPDATE jobs SET withdrawn_at = CASE WHEN version IN (SELECT value FROM json_each(?2)) THEN NULL ELSE ?3 END
		WHERE name = ?1 AND (withdrawn_at IS NULL) <> (version IN (SELECT value FROM json_each(?2)))`, job, string(numbers), micros(at))
	return err
}
