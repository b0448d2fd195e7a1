-- +goose Up
ALTER TABLE clients ADD COLUMN suspended_at INTEGER;
ALTER TABLE clients ADD COLUMN overdue_at INTEGER;
ALTER TABLE clients ADD COLUMN facts TEXT;      -- JSON object
CREATE INDEX clients_by_last_seen ON clients (last_seen);

CREATE TABLE orders (
    sequence   INTEGER PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,
    job        TEXT NOT NULL,
    tag        TEXT NOT NULL,
    document   TEXT NOT NULL,           -- the signed order
    envelope   BLOB NOT NULL,
    signed_by  TEXT NOT NULL,           -- JSON array of key names
    created_by TEXT NOT NULL,
    state      TEXT NOT NULL,
    reason     TEXT NOT NULL DEFAULT '',
    forgiven   INTEGER NOT NULL DEFAULT 0,
    waived     INTEGER NOT NULL DEFAULT 0,
    next_at    INTEGER,
    ended_at   INTEGER
) STRICT;
CREATE INDEX orders_by_state ON orders (state, sequence);
CREATE INDEX orders_by_job ON orders (job, sequence);

-- Runs that are offered or running are queued here: what a client was told and
-- what it says is known again after its next poll.
CREATE TABLE order_runs (
    number   INTEGER PRIMARY KEY,
    run      TEXT NOT NULL UNIQUE,
    order_no INTEGER NOT NULL REFERENCES orders (sequence),
    client   TEXT NOT NULL,
    at       INTEGER,
    rank     INTEGER NOT NULL,
    state    TEXT NOT NULL,
    updated  INTEGER NOT NULL
) STRICT;
CREATE INDEX order_runs_by_order ON order_runs (order_no, number);
CREATE INDEX order_runs_by_state ON order_runs (order_no, state, number);
CREATE INDEX order_runs_queued ON order_runs (order_no) WHERE state = 'queued';

-- Kept with every change, so that progress costs a few rows however many runs.
CREATE TABLE order_counts (
    order_no INTEGER NOT NULL REFERENCES orders (sequence),
    state    TEXT NOT NULL,
    n        INTEGER NOT NULL,
    PRIMARY KEY (order_no, state)
) STRICT, WITHOUT ROWID;

CREATE TABLE notes (
    run  TEXT NOT NULL,
    note TEXT NOT NULL                  -- JSON object
) STRICT;
CREATE INDEX notes_by_run ON notes (run);

-- The last output of each job on each client, for triggers on changes.
CREATE TABLE outputs (
    client TEXT NOT NULL,
    job    TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (client, job)
) STRICT, WITHOUT ROWID;

CREATE TABLE deliveries (
    sequence  INTEGER PRIMARY KEY AUTOINCREMENT,
    "trigger" TEXT NOT NULL,
    event     TEXT NOT NULL,            -- JSON object
    attempts  INTEGER NOT NULL,
    next_at   INTEGER NOT NULL,
    dead      INTEGER NOT NULL,
    error     TEXT NOT NULL
) STRICT;
CREATE INDEX deliveries_due ON deliveries (dead, next_at);

-- +goose Down
DROP TABLE deliveries;
DROP TABLE outputs;
DROP TABLE notes;
DROP TABLE order_counts;
DROP TABLE order_runs;
DROP TABLE orders;
DROP INDEX clients_by_last_seen;
ALTER TABLE clients DROP COLUMN facts;
ALTER TABLE clients DROP COLUMN overdue_at;
ALTER TABLE clients DROP COLUMN suspended_at;
