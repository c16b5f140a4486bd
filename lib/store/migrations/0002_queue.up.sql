-- What waits for its turn. A row is inserted once and deleted once, never updated, and positions are handed out
-- under the admission lock: a reader that remembers where the living rows begin never walks the dead ones, even
-- while an old snapshot keeps them from being cleaned up.
CREATE TABLE queue (
  priority  smallint NOT NULL,
  position  bigint NOT NULL,
  run_id    text NOT NULL UNIQUE REFERENCES runs (run_id) ON DELETE CASCADE,
  namespace text NOT NULL,
  lane      text NOT NULL,                        -- digest of repository and branch
  PRIMARY KEY (priority, position)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE SEQUENCE queue_position;

-- Runs that hold a place: dispatched (no expiry yet) or running. No index on what heartbeats write.
CREATE TABLE leases (
  run_id    text PRIMARY KEY REFERENCES runs (run_id) ON DELETE CASCADE,
  position  bigint NOT NULL UNIQUE,
  namespace text NOT NULL,
  lane      text NOT NULL,
  epoch     bigint NOT NULL,
  holder    text NOT NULL DEFAULT '',
  seq       bigint NOT NULL DEFAULT 0,            -- nodes finished
  events    bigint NOT NULL DEFAULT 0,            -- journal entries taken from the runner
  infra     bigint NOT NULL DEFAULT 0,            -- attempts that ended without a finish
  admission text NOT NULL DEFAULT '',             -- the call that admitted it
  node      text NOT NULL DEFAULT '',
  granted   timestamptz NOT NULL DEFAULT now(),
  expires   timestamptz,
  deadline  timestamptz,
  cancel    boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE SEQUENCE lease_position;
