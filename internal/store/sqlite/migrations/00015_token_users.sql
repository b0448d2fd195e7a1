-- Who came in with a token: JSON list of names, the first ones.

-- +goose Up
ALTER TABLE tokens ADD COLUMN used_by TEXT NOT NULL DEFAULT '[]';
