-- Clients whose certificate expired, and who ask to be let in again.

-- +goose Up
ALTER TABLE clients ADD COLUMN asked_at INTEGER;
ALTER TABLE clients ADD COLUMN approved_until INTEGER;
