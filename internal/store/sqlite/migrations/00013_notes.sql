-- Notes of runs whose result is not here yet are their client's, which has so many.

-- +goose Up
ALTER TABLE notes ADD COLUMN waiting TEXT;              -- client; NULL once the result is here, and for notes of before
CREATE INDEX notes_waiting ON notes (waiting) WHERE waiting IS NOT NULL;
