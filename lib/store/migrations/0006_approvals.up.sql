-- Runs that wait for a person: a row from the moment a run blocks until it goes on or ends.
CREATE TABLE waits (
  run_id           text PRIMARY KEY REFERENCES runs (run_id) ON DELETE CASCADE,
  subject_digest   text NOT NULL,
  seq              bigint NOT NULL,               -- of the checkpoint that waits
  node             text NOT NULL,
  since            timestamptz NOT NULL DEFAULT now(),
  expires          timestamptz NOT NULL,
  required         bigint NOT NULL,
  reminder_seconds bigint NOT NULL DEFAULT 0,     -- 0 = none
  next_reminder    timestamptz
);
CREATE INDEX waits_due ON waits (least(expires, next_reminder));

-- The audit: one row a decision, whatever came of it; only ever inserted.
CREATE TABLE approvals (
  key            text PRIMARY KEY,
  run_id         text NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
  seq            bigint NOT NULL,                 -- of the wait that was there, 0 when there was none
  subject_digest text NOT NULL,                   -- as the approver gave it
  decision       text NOT NULL CHECK (decision IN ('Approve', 'Reject', 'Revise')),
  reason         text NOT NULL DEFAULT '',
  feedback       text NOT NULL DEFAULT '',
  approver       text NOT NULL,
  verdict        text NOT NULL CHECK (verdict IN ('Decided', 'Counted', 'Stale', 'Duplicate', 'Refused')),
  message        text NOT NULL DEFAULT '',
  approvals      bigint NOT NULL DEFAULT 0,
  required       bigint NOT NULL DEFAULT 0,
  created        timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX approvals_of_run ON approvals (run_id, seq);

-- The deadline does not run while a run waits: what was left of it when it blocked.
ALTER TABLE runs ADD COLUMN time_left interval;

-- Runs that were blocked before: when they blocked is not on record, so they get their time afresh.
INSERT INTO waits (run_id, subject_digest, seq, node, expires, required)
SELECT r.run_id, CASE WHEN r.subject_digest = '' THEN r.run_id ELSE r.subject_digest END,
  coalesce((SELECT max(n.seq) FROM node_executions n WHERE n.run_id = r.run_id), 0),
  coalesce((SELECT n.node FROM node_executions n WHERE n.run_id = r.run_id ORDER BY n.seq DESC LIMIT 1), r.node),
  now() + interval '7 days', 1
FROM runs r WHERE r.state = 'Blocked';
UPDATE runs r SET deadline = NULL, time_left = make_interval(secs => o.timeout_seconds),
  subject_digest = CASE WHEN r.subject_digest = '' THEN r.run_id ELSE r.subject_digest END
FROM run_orders o WHERE o.run_id = r.run_id AND r.state = 'Blocked';
