-- What is held waits for its turn again.
INSERT INTO queue (priority, position, run_id, namespace, lane)
SELECT h.priority, nextval('queue_position'), h.run_id, h.namespace, h.lane
FROM holds h JOIN runs r ON r.run_id = h.run_id WHERE r.state = 'Queued' ORDER BY h.priority, h.since;
DROP TABLE holds;
