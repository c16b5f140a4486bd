-- Whether any run still names a content. blobs.created is from here on when somebody last gave the content.
CREATE INDEX artifacts_of_blob ON artifacts (digest);
