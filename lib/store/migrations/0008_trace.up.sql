-- One trace id a run (W3C: 32 hexadecimal digits), made when it is submitted; the run's journal entries have it through their run.
ALTER TABLE runs ADD COLUMN trace_id text NOT NULL DEFAULT replace(gen_random_uuid()::text, '-', '');

-- The journal is append-only. The conditions cannot be read as true or false, so that a change or a removal fails with the text in
-- them; a function of our own would be missing where tables alone are restored.
CREATE TRIGGER events_unchanged BEFORE UPDATE ON events FOR EACH ROW
  WHEN (('the journal is append-only, no change of entry ' || OLD.id)::boolean)
  EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE TRIGGER events_kept BEFORE DELETE ON events FOR EACH ROW
  WHEN (('the journal is append-only, no removal of entry ' || OLD.id)::boolean)
  EXECUTE FUNCTION suppress_redundant_updates_trigger();
