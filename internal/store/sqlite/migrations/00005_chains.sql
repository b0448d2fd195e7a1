-- Tickets of the exchanges with clients, by which two holders of one identity show.

-- +goose Up
CREATE TABLE chains (
    client    TEXT NOT NULL,
    line      TEXT NOT NULL,
    counter   INTEGER NOT NULL,
    branch    INTEGER NOT NULL,
    abandoned TEXT NOT NULL,            -- JSON array of branches
    address   TEXT NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (client, line)
) STRICT, WITHOUT ROWID;

ALTER TABLE clients ADD COLUMN clone TEXT;  -- JSON, of the last one
