-- Tickets whose values clients choose: a line is its newest ticket, and needs no branches.
-- What was known of the tickets before is of no use with the new ones.

-- +goose Up
DROP TABLE chains;
CREATE TABLE chains (
    client     TEXT NOT NULL,
    line       TEXT NOT NULL,
    generation INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    ticket     TEXT NOT NULL,
    address    TEXT NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (client, line)
) STRICT, WITHOUT ROWID;
