DROP INDEX lessons_by_age;
DROP INDEX tasks_by_name;
DROP INDEX tasks_by_age;
DROP INDEX artifacts_of_blob;
