package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"webjob.dev/webjob"
)

// publish adds a version.
func publish(ctx context.Context, c *conn, v webjob.JobVersion) error {
	var latest int64
	if err := c.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM jobs WHERE name = ?`, v.Name).Scan(&latest); err != nil {
		return err
	}
	if v.Version <= latest {
		return webjob.Errorf(webjob.Conflict, "job %s has version %d already, and versions only go up; publish %d or above", v.Name, latest, latest+1)
	}
	_, err := c.ExecContext(ctx, `INSERT INTO jobs (name, version, scope, description, manifest, text, published_at, published_by, expires)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		v.Name, v.Version, v.Scope, v.Description, v.Manifest, v.Text, micros(v.PublishedAt), v.PublishedBy, micros(v.Expires))
	if err != nil {
		return err
	}
	for _, p := range v.Payloads {
		if _, err := c.ExecContext(ctx, `INSERT INTO payloads (digest, name, version, platform, size) VALUES (?, ?, ?, ?, ?)`,
			p.Digest, v.Name, v.Version, p.Platform, p.Size); err != nil {
			return err
		}
	}
	return nil
}

// LatestVersion implements [webjob.Jobs].
func (s jobTable) LatestVersion(ctx context.Context, name string) (int64, error) {
	var latest int64
	err := s.read.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM jobs WHERE name = ?`, name).Scan(&latest)
	return latest, backendError(err)
}

const jobColumns = `name, version, scope, description, manifest, text, published_at, published_by, expires, withdrawn_at`

func scanJob(row scanner) (webjob.JobVersion, error) {
	var v webjob.JobVersion
	var published, expires, withdrawn sql.NullInt64
	err := row.Scan(&v.Name, &v.Version, &v.Scope, &v.Description, &v.Manifest, &v.Text, &published, &v.PublishedBy, &expires, &withdrawn)
	v.PublishedAt, v.Expires, v.WithdrawnAt = fromMicros(published), fromMicros(expires), fromMicros(withdrawn)
	return v, err
}

// FindJob implements [webjob.Jobs].
func (s jobTable) FindJob(ctx context.Context, name string, scopes []webjob.Scope) (webjob.JobVersion, error) {
	listed, err := s.listed(ctx, name)
	if err != nil {
		return webjob.JobVersion{}, err
	}
	for _, scope := range scopes {
		if number, found := listed.newest[scope]; found {
			return s.published(ctx, name, number)
		}
	}
	return webjob.JobVersion{}, webjob.Errorf(webjob.NotFound, "job %s is not published for this client; check the name", name)
}

// FindVersion implements [webjob.Jobs].
func (s jobTable) FindVersion(ctx context.Context, name string, version int64, scopes []webjob.Scope) (webjob.JobVersion, error) {
	listed, err := s.listed(ctx, name)
	if err != nil {
		return webjob.JobVersion{}, err
	}
	if scope, found := listed.scopes[version]; !found || !slices.Contains(scopes, scope) {
		return webjob.JobVersion{}, webjob.Errorf(webjob.NotFound, "job %s version %d is not published for this client; it was withdrawn, or is for others", name, version)
	}
	return s.published(ctx, name, version)
}

// listed returns which versions of a job are not withdrawn. A job that has none is not
// remembered: clients may ask for any name.
func (s jobTable) listed(ctx context.Context, name string) (listedVersions, error) {
	listed, err := s.jobs.lookUp(name, func() (listedVersions, error) {
		listed := listedVersions{newest: map[webjob.Scope]int64{}, scopes: map[int64]webjob.Scope{}}
		_, err := all(ctx, s.read, func(row scanner) (struct{}, error) {
			var number int64
			var scope webjob.Scope
			err := row.Scan(&number, &scope)
			listed.scopes[number] = scope
			listed.newest[scope] = max(listed.newest[scope], number)
			return struct{}{}, err
		}, `SELECT version, scope FROM jobs WHERE name = ? AND withdrawn_at IS NULL`, name)
		if err == nil && len(listed.scopes) == 0 {
			err = errNoVersions
		}
		return listed, err
	})
	if errors.Is(err, errNoVersions) {
		err = nil
	}
	return listed, err
}

var errNoVersions = errors.New("no version is published")

// published returns a version that is not withdrawn, with its payloads.
func (s jobTable) published(ctx context.Context, name string, number int64) (webjob.JobVersion, error) {
	v, err := s.versions.lookUp(version{name, number}, func() (webjob.JobVersion, error) {
		v, err := s.JobVersion(ctx, name, number)
		if err == nil {
			v.Payloads, err = s.payloads(ctx, v)
		}
		return v, err
	})
	v.WithdrawnAt = time.Time{} // so it was when the job was looked up
	return v, err
}

func (s jobTable) payloads(ctx context.Context, v webjob.JobVersion) ([]webjob.Payload, error) {
	return all(ctx, s.read, func(row scanner) (p webjob.Payload, err error) {
		return p, row.Scan(&p.Platform, &p.Digest, &p.Size)
	}, `SELECT platform, digest, size FROM payloads WHERE name = ? AND version = ? ORDER BY platform`, v.Name, v.Version)
}

// JobVersion implements [webjob.Jobs].
func (s jobTable) JobVersion(ctx context.Context, name string, version int64) (webjob.JobVersion, error) {
	v, err := scanJob(s.read.QueryRowContext(ctx, `SELECT `+jobColumns+` FROM jobs WHERE name = ? AND version = ?`, name, version))
	return v, one(err, "job %s has no version %d", name, version)
}

// ListJobs implements [webjob.Jobs].
func (s jobTable) ListJobs(ctx context.Context, name string, p webjob.Page) ([]webjob.JobVersion, error) {
	afterName, text, _ := strings.Cut(p.After, "@")
	afterVersion, err := strconv.ParseInt(text, 10, 64)
	if p.After != "" && err != nil {
		return nil, webjob.Errorf(webjob.Invalid, "after is %.40q; use the \"next\" of the page before", p.After)
	}
	return all(ctx, s.read, scanJob, `SELECT `+jobColumns+` FROM jobs
		WHERE (?1 = '' OR name = ?1) AND (name, version) > (?2, ?3) ORDER BY name, version LIMIT ?4`,
		name, afterName, afterVersion, p.Limit)
}

// HasPayload implements [webjob.Jobs].
func (s jobTable) HasPayload(ctx context.Context, d webjob.Digest, scopes []webjob.Scope) (bool, error) {
	rows, err := all(ctx, s.read, func(row scanner) (scope webjob.Scope, err error) { return scope, row.Scan(&scope) },
		`SELECT DISTINCT scope FROM payloads JOIN jobs USING (name, version) WHERE digest = ? AND withdrawn_at IS NULL`, d)
	return slices.ContainsFunc(rows, func(scope webjob.Scope) bool { return slices.Contains(scopes, scope) }), err
}

// IsPayload implements [webjob.Jobs].
func (s jobTable) IsPayload(ctx context.Context, d webjob.Digest) (is bool, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM payloads WHERE digest = ?)`, d).Scan(&is)
	return is, backendError(err)
}
