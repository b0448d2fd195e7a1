-- Who is about to name which blob, what clients store, and until when results are kept.

-- +goose Up
CREATE TABLE blob_holds (
    number INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again, so that a hold that ended is told from a new one
    owner  TEXT NOT NULL,               -- client; '' for the server itself
    use    TEXT NOT NULL,
    digest TEXT NOT NULL,
    size   INTEGER NOT NULL,
    ends   INTEGER,                     -- NULL: with the repository file that use names
    UNIQUE (owner, use, digest)
) STRICT;
CREATE INDEX blob_holds_by_digest ON blob_holds (digest, ends);
CREATE INDEX blob_holds_by_end ON blob_holds (ends) WHERE ends IS NOT NULL;

CREATE TABLE condemned_blobs (
    digest TEXT PRIMARY KEY,
    at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Kept with every change, so that a limit costs the same for ten results and a million.
CREATE TABLE client_storage (
    client   TEXT PRIMARY KEY,
    results  INTEGER NOT NULL,
    stored   INTEGER NOT NULL,          -- bytes of records and parts
    reserved INTEGER NOT NULL,          -- bytes of holds
    holds    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO client_storage SELECT client, count(*), sum(bytes + length(record)), 0, 0 FROM results GROUP BY client;

ALTER TABLE results ADD COLUMN keep_until INTEGER;      -- NULL: for good
CREATE INDEX results_due ON results (keep_until) WHERE keep_until IS NOT NULL;

CREATE TABLE dated_by (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    rules TEXT NOT NULL
) STRICT;

-- A slow trigger's deliveries are looked at beside those of the others.
DROP INDEX deliveries_due;
CREATE INDEX deliveries_due ON deliveries ("trigger", dead, next_at, sequence);
