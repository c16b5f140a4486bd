-- Runs that waited or held a place could not be found again without these tables.
UPDATE runs SET state = 'Failed', finished = now(),
  failure = '{"class":"Infra","reason":"SchemaRolledBack","message":"the queue was removed by a rollback"}'
WHERE state IN ('Queued', 'Dispatched', 'Running');
DROP TABLE leases;
DROP TABLE queue;
DROP SEQUENCE lease_position;
DROP SEQUENCE queue_position;
