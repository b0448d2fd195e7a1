-- The job repository: "root/N", "timestamp", "snapshot", "role/NAME", "content/PATH",
-- "draft/ID".

-- +goose Up
CREATE TABLE repository_files (
    name    TEXT PRIMARY KEY,
    content BLOB NOT NULL
) STRICT;

DROP TABLE trust_root;

-- A manifest is signed by way of the repository: what is kept is its own text.
ALTER TABLE jobs RENAME COLUMN envelope TO text;
