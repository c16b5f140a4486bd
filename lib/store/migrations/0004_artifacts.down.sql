DROP TABLE artifacts;
DROP TABLE blobs;
