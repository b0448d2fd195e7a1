-- What every change rests on: who made it, that it met what it expected, and who does what
-- only one server does at a time.

-- +goose Up
CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    actor    TEXT NOT NULL,
    action   TEXT NOT NULL,
    target   TEXT NOT NULL,
    hash     TEXT NOT NULL,             -- digest of text
    text     TEXT NOT NULL              -- exact JSON, which names the hash of the entry before
) STRICT;
CREATE INDEX audit_by_actor ON audit (actor, sequence);
CREATE INDEX audit_by_target ON audit (target, sequence);
-- +goose StatementBegin
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is never changed'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is never changed'); END;
-- +goose StatementEnd

CREATE TABLE leases (
    name   TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    ends   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE orders ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
ALTER TABLE orders ADD COLUMN cancelled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE orders ADD COLUMN next_start INTEGER;       -- of the rate
ALTER TABLE orders ADD COLUMN within TEXT NOT NULL DEFAULT '';  -- selector of who created it

-- Until when an offered run is its client's to take.
ALTER TABLE order_runs ADD COLUMN offered_until INTEGER;
DROP INDEX order_runs_queued;
CREATE INDEX order_runs_open ON order_runs (order_no, number) WHERE state IN ('queued', 'offered');
