-- A run whose start is refused again and again: each wait is longer than the one before, and the journal tells of the first alone.
ALTER TABLE runs ADD COLUMN refused text NOT NULL DEFAULT '';     -- the reason; '' = it was not, or has been claimed since
ALTER TABLE runs ADD COLUMN refusals bigint NOT NULL DEFAULT 0;   -- for that reason, one after the other
