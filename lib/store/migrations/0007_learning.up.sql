-- What runs teach: each failure, failures by pattern, one row of figures a finished run, and what mended a failed check.
CREATE TABLE error_records (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  run_id      text NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
  seq         bigint NOT NULL,                    -- of the node; 0 = the run itself failed
  node        text NOT NULL DEFAULT '',
  class       text NOT NULL,                      -- failure class of a run; Node for a node
  reason      text NOT NULL,                      -- reason of a run; type of a node
  message     text NOT NULL,
  fingerprint text NOT NULL,
  at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX error_records_of_pattern ON error_records (fingerprint, id);
CREATE INDEX error_records_of_run ON error_records (run_id);

-- Counted as the records are written. A pattern outlives the runs it was seen in.
CREATE TABLE error_patterns (
  fingerprint text PRIMARY KEY,
  class       text NOT NULL,
  reason      text NOT NULL,
  pattern     text NOT NULL,                      -- the message without what differs from run to run
  count       bigint NOT NULL DEFAULT 1,
  first_seen  timestamptz NOT NULL DEFAULT now(),
  last_seen   timestamptz NOT NULL DEFAULT now(),
  last_run    text NOT NULL DEFAULT ''
) WITH (fillfactor = 70);

CREATE TABLE metrics (
  run_id           text PRIMARY KEY REFERENCES runs (run_id) ON DELETE CASCADE,
  outcome          text NOT NULL,
  duration_seconds double precision NOT NULL,     -- from the first claim, waits for people included
  nodes            bigint NOT NULL,
  repairs          bigint NOT NULL,
  attempts         bigint NOT NULL,
  tokens_in        bigint NOT NULL,
  tokens_out       bigint NOT NULL,
  cost_usd         double precision NOT NULL,
  llm_calls        bigint NOT NULL,
  finished         timestamptz NOT NULL DEFAULT now()
);

-- A repair that turned a failed verification into an approved gate.
CREATE TABLE lessons (
  run_id        text NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
  seq           bigint NOT NULL,                  -- of the gate that approved
  fingerprint   text NOT NULL,
  pattern       text NOT NULL,
  failed        json NOT NULL,                    -- the checks that had failed, with the tails of their output
  failed_digest text NOT NULL,                    -- of the patch that failed
  mended_digest text NOT NULL,                    -- of the patch that was approved
  repairs       bigint NOT NULL,
  at            timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (run_id, seq)
);
CREATE INDEX lessons_of_pattern ON lessons (fingerprint);
