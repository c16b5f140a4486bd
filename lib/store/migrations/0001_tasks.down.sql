DROP TABLE run_orders;
DROP TABLE runs;
DROP TABLE tasks;
