DROP TABLE lessons;
DROP TABLE metrics;
DROP TABLE error_patterns;
DROP TABLE error_records;
