-- Certificates of clients that have not expired, for the revocation list.

-- +goose Up
CREATE TABLE certificates (
    serial    TEXT PRIMARY KEY,         -- decimal
    client    TEXT NOT NULL,
    not_after INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
