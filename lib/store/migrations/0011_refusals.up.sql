-- A run whose start is refused again and again: each wait is longer than the one before, and the journal tells of the first alone.
ALTER TABLE runs ADD COLUMN refused text NOT NULL DEFAULT '';     -- the reason; '' = it was not, or has been claimed since
ALTER TABLE runs ADD COLUMN refusals bigint NOT NULL DEFAULT 0;   -- for that reason, one after the other

-- Audit and system journal are append-only as the journal is (0008), and none of them is emptied.
CREATE TRIGGER approvals_unchanged BEFORE UPDATE ON approvals FOR EACH ROW
  WHEN (('the audit is append-only, no change of decision ' || OLD.key)::boolean)
  EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE TRIGGER approvals_kept BEFORE DELETE ON approvals FOR EACH ROW
  WHEN (('the audit is append-only, no removal of decision ' || OLD.key)::boolean)
  EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE TRIGGER approvals_not_emptied BEFORE TRUNCATE ON approvals FOR EACH STATEMENT
  WHEN (('the audit is append-only, no removal by ' || current_user)::boolean)
  EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE TRIGGER journal_unchanged BEFORE UPDATE ON _journal FOR EACH ROW
  WHEN (('the system journal is append-only, no change of entry ' || OLD.id)::boolean)
  EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE TRIGGER journal_kept BEFORE DELETE ON _journal FOR EACH ROW
  WHEN (('the system journal is append-only, no removal of entry ' || OLD.id)::boolean)
  EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE TRIGGER journal_not_emptied BEFORE TRUNCATE ON _journal FOR EACH STATEMENT
  WHEN (('the system journal is append-only, no removal by ' || current_user)::boolean)
  EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE TRIGGER events_not_emptied BEFORE TRUNCATE ON events FOR EACH STATEMENT
  WHEN (('the journal is append-only, no removal by ' || current_user)::boolean)
  EXECUTE FUNCTION suppress_redundant_updates_trigger();
