DROP INDEX artifacts_of_blob;
