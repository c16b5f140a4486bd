-- Queued runs that have neither a turn nor a place until something outside changes: a row while it is so.
CREATE TABLE holds (
  run_id    text PRIMARY KEY REFERENCES runs (run_id) ON DELETE CASCADE,
  priority  smallint NOT NULL,                    -- priority, namespace and lane as it goes back to the queue
  namespace text NOT NULL,
  lane      text NOT NULL,
  reason    text NOT NULL,
  message   text NOT NULL DEFAULT '',
  until     timestamptz,                          -- when to try again; NULL = once it is released
  since     timestamptz NOT NULL DEFAULT now()
);
