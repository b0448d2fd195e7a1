-- How many events wait that one client's requests made. Those of before count for nobody.

-- +goose Up
ALTER TABLE deliveries ADD COLUMN client TEXT NOT NULL DEFAULT '';
CREATE INDEX deliveries_by_client ON deliveries (client) WHERE dead = 0 AND client != '';
