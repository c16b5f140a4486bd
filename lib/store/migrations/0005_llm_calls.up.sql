-- Model calls by idempotency key. The answer is json, not jsonb: models do answer \u0000, which jsonb refuses.
CREATE TABLE llm_calls (
  run_id         text NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
  node           text NOT NULL,
  visit          bigint NOT NULL,
  call           bigint NOT NULL,
  request_digest text NOT NULL,
  state          text NOT NULL CHECK (state IN ('pending', 'done', 'failed')),
  tries          bigint NOT NULL DEFAULT 0,       -- times the call was begun
  model          text NOT NULL DEFAULT '',
  answer         json,
  error          text NOT NULL DEFAULT '',
  tokens_in      bigint NOT NULL DEFAULT 0,
  tokens_out     bigint NOT NULL DEFAULT 0,
  cost_usd       double precision NOT NULL DEFAULT 0,
  paid_calls     bigint NOT NULL DEFAULT 0,
  reserve_tokens bigint NOT NULL DEFAULT 0,
  reserve_usd    double precision NOT NULL DEFAULT 0,
  begun          timestamptz NOT NULL DEFAULT now(),
  expires        timestamptz NOT NULL,
  ended          timestamptz,
  settled        text NOT NULL DEFAULT '',        -- the settlement counted last: its repeat counts nothing
  PRIMARY KEY (run_id, node, visit, call, request_digest)
);
