-- Tasks as last submitted, their runs, and what each run was ordered to do.
CREATE TABLE tasks (
  uid        text PRIMARY KEY,
  namespace  text NOT NULL,
  name       text NOT NULL,
  generation bigint NOT NULL DEFAULT 0,
  runs       bigint NOT NULL DEFAULT 0,           -- runs made so far
  created    timestamptz NOT NULL DEFAULT now()
);

-- Updated about five times in a run's life: room on the page keeps those updates off the indexes.
CREATE TABLE runs (
  run_id           text PRIMARY KEY,
  task_uid         text NOT NULL REFERENCES tasks (uid),
  number           bigint NOT NULL,
  rerun_token      text NOT NULL DEFAULT '',
  state            text NOT NULL DEFAULT 'Queued' CHECK (state IN
                     ('Queued', 'Dispatched', 'Running', 'Blocked', 'Completed', 'Failed', 'Cancelled')),
  attempt          bigint NOT NULL DEFAULT 0,
  infra_failures   bigint NOT NULL DEFAULT 0,
  epoch            bigint NOT NULL DEFAULT 0,
  holder           text NOT NULL DEFAULT '',
  cancel_requested boolean NOT NULL DEFAULT false,
  node             text NOT NULL DEFAULT '',
  created          timestamptz NOT NULL DEFAULT now(),
  started          timestamptz,
  deadline         timestamptz,
  finished         timestamptz,
  result           json,
  verification     json,
  failure          json,
  subject_digest   text NOT NULL DEFAULT '',
  tokens_in        bigint NOT NULL DEFAULT 0,
  tokens_out       bigint NOT NULL DEFAULT 0,
  cost_usd         double precision NOT NULL DEFAULT 0,
  llm_calls        bigint NOT NULL DEFAULT 0,
  UNIQUE (task_uid, number),
  UNIQUE (task_uid, rerun_token)
) WITH (fillfactor = 60);

-- The documents a run works from: written once, apart from the row that is updated.
CREATE TABLE run_orders (
  run_id          text PRIMARY KEY REFERENCES runs (run_id) ON DELETE CASCADE,
  spec            json NOT NULL,
  workflow        json NOT NULL,
  policy          json NOT NULL,
  timeout_seconds bigint NOT NULL,
  max_infra       bigint NOT NULL
);
