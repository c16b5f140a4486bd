-- One row a finished node, with the checkpoint after it; only ever inserted.
CREATE TABLE node_executions (
  run_id      text NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
  seq         bigint NOT NULL,
  epoch       bigint NOT NULL,
  node        text NOT NULL,
  type        text NOT NULL,
  visit       bigint NOT NULL,
  outcome     text NOT NULL CHECK (outcome IN ('ok', 'error')),
  error       text NOT NULL DEFAULT '',
  started     timestamptz NOT NULL,
  finished    timestamptz NOT NULL,
  input       json,
  output      json,
  next_node   text NOT NULL,
  visits      json NOT NULL,
  state       json,
  base_commit text NOT NULL,
  patch       text NOT NULL,
  PRIMARY KEY (run_id, seq)
);

-- The journal: append-only; a key makes an entry once.
CREATE TABLE events (
  id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  run_id  text NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
  key     text NOT NULL,
  type    text NOT NULL,
  message text NOT NULL DEFAULT '',
  fields  json,
  at      timestamptz NOT NULL DEFAULT now(),
  UNIQUE (run_id, key)
);
CREATE INDEX events_of_run ON events (run_id, id);
