-- Runs that are open are found by their state; an index of their own cost a write for each
-- change of a run.

-- +goose Up
DROP INDEX order_runs_open;
