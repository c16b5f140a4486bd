-- Blocked runs stay as they are; those whose time stood still get what was left of it.
UPDATE runs SET deadline = now() + time_left WHERE deadline IS NULL AND time_left IS NOT NULL;
ALTER TABLE runs DROP COLUMN time_left;
DROP TABLE approvals;
DROP TABLE waits;
