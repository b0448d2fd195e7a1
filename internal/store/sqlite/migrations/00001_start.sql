-- Times are microseconds since 1970 UTC. Digests are "sha256:<hex>".

-- +goose Up
CREATE TABLE tokens (
    secret  TEXT PRIMARY KEY,           -- digest of the secret
    id      TEXT NOT NULL,
    role    TEXT NOT NULL,
    labels  TEXT NOT NULL,              -- JSON object
    uses    INTEGER NOT NULL CHECK (uses >= 0),
    expires INTEGER NOT NULL
) STRICT;

CREATE TABLE clients (
    id          TEXT PRIMARY KEY,
    labels      TEXT NOT NULL,          -- JSON object
    platform    TEXT NOT NULL,
    key         TEXT NOT NULL,
    enrolled_at INTEGER NOT NULL,
    last_seen   INTEGER,
    revoked_at  INTEGER,
    reason      TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE operators (
    name        TEXT PRIMARY KEY,
    key         TEXT NOT NULL,
    enrolled_at INTEGER NOT NULL,
    revoked_at  INTEGER
) STRICT;

CREATE TABLE jobs (
    name         TEXT NOT NULL,
    version      INTEGER NOT NULL,
    scope        TEXT NOT NULL,
    description  TEXT NOT NULL,
    manifest     TEXT NOT NULL,         -- digest of the canonical manifest
    envelope     BLOB NOT NULL,
    published_at INTEGER NOT NULL,
    published_by TEXT NOT NULL,
    expires      INTEGER NOT NULL,
    withdrawn_at INTEGER,
    PRIMARY KEY (name, version)
) STRICT;
CREATE INDEX jobs_by_scope ON jobs (name, scope, version) WHERE withdrawn_at IS NULL;

CREATE TABLE payloads (
    digest   TEXT NOT NULL,
    name     TEXT NOT NULL,
    version  INTEGER NOT NULL,
    platform TEXT NOT NULL,
    size     INTEGER NOT NULL,
    PRIMARY KEY (digest, name, version, platform),
    FOREIGN KEY (name, version) REFERENCES jobs (name, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX payloads_by_job ON payloads (name, version);

CREATE TABLE results (
    sequence    INTEGER PRIMARY KEY,
    run         TEXT NOT NULL UNIQUE,
    client      TEXT NOT NULL,
    job         TEXT NOT NULL,
    version     INTEGER NOT NULL,
    outcome     TEXT NOT NULL,
    exit_status INTEGER,
    started     INTEGER NOT NULL,
    duration_ms REAL NOT NULL,
    received    INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    record      BLOB NOT NULL,          -- exact JSON
    inline      BLOB NOT NULL           -- small parts, one after another
) STRICT;
CREATE INDEX results_by_client ON results (client, sequence);
CREATE INDEX results_by_job ON results (job, sequence);
CREATE INDEX results_by_outcome ON results (outcome, sequence);
CREATE INDEX results_by_received ON results (received);

-- The large parts, so that every blob that must exist can be listed.
CREATE TABLE result_blobs (
    sequence INTEGER NOT NULL REFERENCES results (sequence),
    part     TEXT NOT NULL,
    digest   TEXT NOT NULL,
    size     INTEGER NOT NULL,
    PRIMARY KEY (sequence, part)
) STRICT, WITHOUT ROWID;
CREATE INDEX result_blobs_by_digest ON result_blobs (digest);

CREATE TABLE trust_root (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    root BLOB NOT NULL
) STRICT;

-- +goose Down
DROP TABLE trust_root;
DROP TABLE result_blobs;
DROP TABLE results;
DROP TABLE payloads;
DROP TABLE jobs;
DROP TABLE operators;
DROP TABLE clients;
DROP TABLE tokens;
