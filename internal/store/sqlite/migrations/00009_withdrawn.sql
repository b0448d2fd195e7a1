-- A version is withdrawn when its signed index does not list it, and only then. Servers
-- before this one also marked versions on the word of a single operator, while their
-- index waited for signatures; clients then took the answer for a swapped job.

-- +goose Up
UPDATE jobs SET withdrawn_at = NULL
WHERE withdrawn_at IS NOT NULL AND EXISTS (
    SELECT 1 FROM repository_files f, json_each(CAST(f.content AS TEXT), '$.versions') v
    WHERE f.name = 'content/jobs/' || jobs.name AND json_extract(v.value, '$.version') = jobs.version
);
