-- Whether any run still names a content. blobs.created is from here on when somebody last gave the content.
CREATE INDEX artifacts_of_blob ON artifacts (digest);

-- What lists show first, and a task by its name. None is on a column that a claim or a finish writes.
CREATE INDEX tasks_by_age ON tasks (created DESC, uid);
CREATE INDEX tasks_by_name ON tasks (namespace, name);
CREATE INDEX lessons_by_age ON lessons (at DESC, run_id);
