-- Who may do what, who let whom in, and how those come back who lost their key. Operators
-- and tokens of before could do everything, so they are admins.

-- +goose Up
ALTER TABLE operators ADD COLUMN grants TEXT NOT NULL DEFAULT '[{"role":"admin"}]';    -- JSON array
ALTER TABLE operators ADD COLUMN added_by TEXT NOT NULL DEFAULT '';
ALTER TABLE operators ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;    -- of the newest certificate
ALTER TABLE operators ADD COLUMN reason TEXT NOT NULL DEFAULT '';
UPDATE operators SET expires = enrolled_at + 365 * 86400000000;

ALTER TABLE tokens ADD COLUMN name TEXT NOT NULL DEFAULT '';    -- who comes back with it; '' is for new ones
ALTER TABLE tokens ADD COLUMN grants TEXT NOT NULL DEFAULT 'null';      -- JSON array, of a new operator
ALTER TABLE tokens ADD COLUMN total INTEGER NOT NULL DEFAULT 0;         -- uses that there were
ALTER TABLE tokens ADD COLUMN made_by TEXT NOT NULL DEFAULT '';
ALTER TABLE tokens ADD COLUMN made_at INTEGER;
ALTER TABLE tokens ADD COLUMN revoked_at INTEGER;
UPDATE tokens SET total = uses;
UPDATE tokens SET grants = '[{"role":"admin"}]' WHERE role = 'operator';
CREATE INDEX tokens_by_id ON tokens (id);
CREATE INDEX tokens_by_name ON tokens (role, name) WHERE name != '';

-- A certificate stays revoked when its holder comes back with another one. Operators have
-- them, too.
ALTER TABLE certificates RENAME COLUMN client TO holder;
ALTER TABLE certificates ADD COLUMN role TEXT NOT NULL DEFAULT 'client';
ALTER TABLE certificates ADD COLUMN revoked_at INTEGER;
UPDATE certificates SET revoked_at = (SELECT revoked_at FROM clients WHERE id = holder);
CREATE INDEX certificates_by_holder ON certificates (role, holder);
