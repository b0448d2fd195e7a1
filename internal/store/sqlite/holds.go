package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"webjob.dev/webjob"
)

// HoldBlobs implements [webjob.Holds].
func (s holdTable) HoldBlobs(ctx context.Context, h webjob.Hold) (numbers []int64, err error) {
	err = s.unrecorded(ctx, func(ctx context.Context, c *conn) error {
		numbers = numbers[:0]
		var held, bytes int64
		for _, blob := range h.Blobs {
			number, more, err := holdBlob(ctx, c, h, blob)
			if err != nil {
				return err
			}
			if numbers = append(numbers, number); more.isNew {
				held++
			}
			bytes += more.bytes
		}
		if h.Owner == "" {
			return nil
		}
		return reserve(ctx, c, h, held, bytes)
	})
	if err != nil {
		return nil, err
	}
	return numbers, nil
}

// growth is what a hold adds to those of its owner.
type growth struct {
	isNew bool
	bytes int64
}

func holdBlob(ctx context.Context, c *conn, h webjob.Hold, blob webjob.HeldBlob) (number int64, more growth, err error) {
	var condemned bool
	if err := c.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM condemned_blobs WHERE digest = ?)`, blob.Digest).Scan(&condemned); err != nil {
		return 0, more, err
	}
	if condemned {
		return 0, more, webjob.Errorf(webjob.Unavailable, "blob %s was not needed and is being removed; send it again in a moment", blob.Digest)
	}
	var before int64
	err = c.QueryRowContext(ctx, `SELECT size FROM blob_holds WHERE owner = ? AND use = ? AND digest = ?`, h.Owner, h.Use, blob.Digest).Scan(&before)
	if more.isNew = errors.Is(err, sql.ErrNoRows); err != nil && !more.isNew {
		return 0, more, err
	}
	more.bytes = max(0, blob.Size-before)
	err = c.QueryRowContext(ctx, `INSERT INTO blob_holds (owner, use, digest, size, ends) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (owner, use, digest) DO UPDATE SET size = max(size, excluded.size), ends = max(ends, excluded.ends) RETURNING number`,
		h.Owner, h.Use, blob.Digest, blob.Size, micros(h.Until)).Scan(&number)
	return number, more, err
}

// reserve counts new holds of a client, within its bounds.
func reserve(ctx context.Context, c *conn, h webjob.Hold, held, bytes int64) error {
	var stored, reserved, holds int64
	err := c.QueryRowContext(ctx, `INSERT INTO client_storage (client, results, stored, reserved, holds) VALUES (?1, 0, 0, ?2, ?3)
		ON CONFLICT (client) DO UPDATE SET reserved = reserved + ?2, holds = holds + ?3 RETURNING stored, reserved, holds`,
		h.Owner, bytes, held).Scan(&stored, &reserved, &holds)
	if err != nil {
		return err
	}
	if holds > webjob.MaxHolds {
		return webjob.Errorf(webjob.TooLarge, "client %s has %d parts of results on their way or refused not long ago; at most %d", h.Owner, holds, webjob.MaxHolds)
	}
	if h.MaxBytes > 0 && stored+reserved > h.MaxBytes {
		return overLimit(h.Owner, stored, reserved, h.MaxBytes)
	}
	if h.MaxBlobs == 0 {
		return nil
	}
	var uses int64
	if err := c.QueryRowContext(ctx, `SELECT count(*) FROM blob_holds WHERE owner = ? AND use = ?`, h.Owner, h.Use).Scan(&uses); err != nil {
		return err
	}
	if uses > h.MaxBlobs {
		return webjob.Errorf(webjob.TooLarge, "client %s has %d uploads that wait for their results; at most %d", h.Owner, uses, h.MaxBlobs)
	}
	return nil
}

func overLimit(client string, stored, reserved, most int64) error {
	return webjob.Errorf(webjob.TooLarge,
		"client %s would have %d bytes of results here, %d of them on their way or refused not long ago; it may have %d: let old results go, or raise max_stored (its result is kept on the client)",
		client, stored+reserved, reserved, most)
}

// checkHold makes sure that a hold is there. One that was forgotten, or whose blob was
// condemned, came back with another number at most, so a blob that was there after it was
// held is there still.
func checkHold(ctx context.Context, c *conn, number int64) error {
	var held bool
	err := c.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM blob_holds WHERE number = ?)`, number).Scan(&held)
	if err == nil && !held {
		return webjob.Errorf(webjob.Unavailable, "what was sent took too long to be named, and may have been removed; send it again")
	}
	return err
}

// checkHoldOf is checkHold for one blob.
func checkHoldOf(ctx context.Context, c *conn, number int64, d webjob.Digest) error {
	var held webjob.Digest
	err := c.QueryRowContext(ctx, `SELECT digest FROM blob_holds WHERE number = ?`, number).Scan(&held)
	if webjob.KindOf(one(err, "")) == webjob.NotFound {
		return checkHold(ctx, c, number)
	}
	if err == nil && held != d {
		return webjob.Errorf(webjob.Internal, "hold %d is of blob %s, not of %s", number, held, d)
	}
	return err
}

// endHolds removes the holds that the condition selects.
func endHolds(ctx context.Context, c *conn, condition string, args ...any) (ended int, err error) {
	type hold struct {
		number, size int64
		owner        string
	}
	holds, err := rowsOf(ctx, c, func(row scanner) (h hold, err error) { return h, row.Scan(&h.number, &h.owner, &h.size) },
		`SELECT number, owner, size FROM blob_holds WHERE `+condition, args...)
	if err != nil {
		return 0, err
	}
	for _, h := range holds {
		if _, err := c.ExecContext(ctx, `DELETE FROM blob_holds WHERE number = ?`, h.number); err != nil {
			return 0, err
		}
		if h.owner == "" {
			continue
		}
		if _, err := c.ExecContext(ctx, `UPDATE client_storage SET reserved = reserved - ?, holds = holds - 1 WHERE client = ?`, h.size, h.owner); err != nil {
			return 0, err
		}
	}
	return len(holds), nil
}

// ReleaseBlobs implements [webjob.Holds].
func (s holdTable) ReleaseBlobs(ctx context.Context, owner, use string, digests ...webjob.Digest) error {
	return s.unrecorded(ctx, func(ctx context.Context, c *conn) error {
		for _, d := range digests {
			if _, err := endHolds(ctx, c, `owner = ? AND use = ? AND digest = ?`, owner, use, d); err != nil {
				return err
			}
		}
		return nil
	})
}

// ForgetHolds implements [webjob.Holds].
func (s holdTable) ForgetHolds(ctx context.Context, before time.Time, limit int) (forgotten int, err error) {
	var due bool
	if err := s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM blob_holds WHERE ends < ?)`, micros(before)).Scan(&due); err != nil || !due {
		return 0, backendError(err)
	}
	err = s.quietly(ctx, func(ctx context.Context, c *conn) error {
		forgotten, err = endHolds(ctx, c, `ends < ? ORDER BY ends LIMIT ?`, micros(before), limit)
		return err
	})
	return forgotten, err
}

// Storage implements [webjob.Holds].
func (s holdTable) Storage(ctx context.Context, client string) (webjob.Storage, error) {
	var u webjob.Storage
	err := s.read.QueryRowContext(ctx, `SELECT results, stored, reserved, (SELECT count(*) FROM blob_holds WHERE owner = ?1 AND use = ?2)
		FROM client_storage WHERE client = ?1`, client, webjob.HoldUpload).Scan(&u.Results, &u.Stored, &u.Reserved, &u.Uploads)
	if errors.Is(err, sql.ErrNoRows) {
		return webjob.Storage{}, nil
	}
	return u, backendError(err)
}

// isNeeded tells of a digest whether something names it, or holds it at a time.
const isNeeded = `SELECT EXISTS (SELECT 1 FROM payloads WHERE digest = ?1) OR EXISTS (SELECT 1 FROM result_blobs WHERE digest = ?1)
	OR EXISTS (SELECT 1 FROM blob_holds WHERE digest = ?1 AND (ends IS NULL OR ends > ?2))`

// UnnamedBlobs implements [webjob.Holds].
func (s holdTable) UnnamedBlobs(ctx context.Context, digests []webjob.Digest, at time.Time) (unnamed []webjob.Digest, err error) {
	for _, d := range digests {
		var needed bool
		if err := s.read.QueryRowContext(ctx, isNeeded, d, micros(at)).Scan(&needed); err != nil {
			return nil, backendError(err)
		}
		if !needed {
			unnamed = append(unnamed, d)
		}
	}
	return unnamed, nil
}

// CondemnBlobs implements [webjob.Holds].
func (s holdTable) CondemnBlobs(ctx context.Context, digests []webjob.Digest, at time.Time) (condemned []webjob.Digest, err error) {
	err = s.quietly(ctx, func(ctx context.Context, c *conn) error {
		condemned = nil
		for _, d := range digests {
			var needed bool
			if err := c.QueryRowContext(ctx, isNeeded, d, micros(at)).Scan(&needed); err != nil {
				return err
			}
			if needed {
				continue
			}
			// Who held it and took too long is told, by the number of the hold.
			if _, err := endHolds(ctx, c, `digest = ?`, d); err != nil {
				return err
			}
			if _, err := c.ExecContext(ctx, `INSERT INTO condemned_blobs (digest, at) VALUES (?, ?) ON CONFLICT (digest) DO UPDATE SET at = excluded.at`, d, micros(at)); err != nil {
				return err
			}
			condemned = append(condemned, d)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return condemned, nil
}

// CondemnedBlobs implements [webjob.Holds].
func (s holdTable) CondemnedBlobs(ctx context.Context, before time.Time, limit int) ([]webjob.Digest, error) {
	return all(ctx, s.read, func(row scanner) (d webjob.Digest, err error) { return d, row.Scan(&d) },
		`SELECT digest FROM condemned_blobs WHERE at < ? ORDER BY digest LIMIT ?`, micros(before), limit)
}

// BlobsRemoved implements [webjob.Holds].
func (s holdTable) BlobsRemoved(ctx context.Context, digests []webjob.Digest) error {
	return s.quietly(ctx, func(ctx context.Context, c *conn) error {
		for _, d := range digests {
			if _, err := c.ExecContext(ctx, `DELETE FROM condemned_blobs WHERE digest = ?`, d); err != nil {
				return err
			}
		}
		return nil
	})
}
