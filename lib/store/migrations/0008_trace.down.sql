DROP TRIGGER events_kept ON events;
DROP TRIGGER events_unchanged ON events;
ALTER TABLE runs DROP COLUMN trace_id;
