DROP TRIGGER events_not_emptied ON events;
DROP TRIGGER journal_not_emptied ON _journal;
DROP TRIGGER journal_kept ON _journal;
DROP TRIGGER journal_unchanged ON _journal;
DROP TRIGGER approvals_not_emptied ON approvals;
DROP TRIGGER approvals_kept ON approvals;
DROP TRIGGER approvals_unchanged ON approvals;
ALTER TABLE runs DROP COLUMN refusals;
ALTER TABLE runs DROP COLUMN refused;
