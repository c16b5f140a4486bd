-- Content by digest, and the names under which runs keep it.
CREATE TABLE blobs (
  digest  text PRIMARY KEY,
  size    bigint NOT NULL,
  bytes   bytea NOT NULL,
  created timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE artifacts (
  run_id  text NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
  name    text NOT NULL,
  digest  text NOT NULL REFERENCES blobs (digest),
  size    bigint NOT NULL,
  created timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (run_id, name)
);
