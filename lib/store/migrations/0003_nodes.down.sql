DROP TABLE events;
DROP TABLE node_executions;
