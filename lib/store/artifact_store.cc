#include "store/artifact_store.h"

namespace ybis::store {

// The lock that the renewal takes is held until the name is there, and a clean-up that had looked before
// finds the content young when it gets the lock. Whoever comes while a clean-up deletes it waits, and then
// finds it gone.
Result<bool> ArtifactStore::RenewBlob(const std::string& digest) {
  YBIS_ASSIGN(const auto rows, tx_.Exec("UPDATE blobs SET created = now() WHERE digest = $1", {digest}));
  return rows.affected() > 0;
}

Status ArtifactStore::PutBlob(const std::string& digest, std::string bytes) {
  const auto size = static_cast<int64_t>(bytes.size());
  YBIS_TRY(
      tx_.Exec("INSERT INTO blobs (digest, size, bytes) VALUES ($1, $2, $3) "
               "ON CONFLICT (digest) DO UPDATE SET created = now()",
               {digest, size, Param::Bytes(std::move(bytes))}));
  return {};
}

Result<BlobSweep> ArtifactStore::DeleteUnnamed(const std::string& after, int64_t limit, int64_t bytes,
                                               std::chrono::seconds min_age) {
  YBIS_ASSIGN(
      const auto rows,
      tx_.Exec(
          "WITH next AS (SELECT digest, size FROM blobs WHERE digest > $1 ORDER BY digest LIMIT $2), "
          "page AS (SELECT digest, row_number() OVER w AS number, sum(size) OVER w AS total FROM next "
          "WINDOW w AS (ORDER BY digest)), "
          "looked AS (SELECT digest FROM page WHERE number = 1 OR total <= $4), "
          "free AS (SELECT b.digest FROM looked JOIN blobs b ON b.digest = looked.digest "
          "WHERE b.created < now() - make_interval(secs => $3) "
          "AND NOT EXISTS (SELECT 1 FROM artifacts a WHERE a.digest = b.digest) "
          "FOR UPDATE OF b SKIP LOCKED), "
          "gone AS (DELETE FROM blobs WHERE digest IN (SELECT digest FROM free) RETURNING size) "
          "SELECT (SELECT count(*) FROM looked), CASE WHEN (SELECT count(*) FROM looked) < $2 "
          "AND (SELECT count(*) FROM looked) = (SELECT count(*) FROM next) THEN '' "
          "ELSE (SELECT max(digest) FROM looked) END, count(*), coalesce(sum(size), 0)::bigint FROM gone",
          {after, limit, static_cast<int64_t>(min_age.count()), bytes}));
  const Row row = rows[0];
  return BlobSweep{row.Int(0), row.Text(1), row.Int(2), row.Int(3)};
}

Result<bool> ArtifactStore::Name(const std::string& run_id, int64_t epoch, const ArtifactRow& row) {
  YBIS_ASSIGN(
      const auto rows,
      tx_.Exec("WITH l AS (SELECT run_id FROM leases WHERE run_id = $1 AND epoch = $2 FOR SHARE) "
               "INSERT INTO artifacts (run_id, name, digest, size) SELECT run_id, $3, $4, $5::bigint FROM l "
               "ON CONFLICT (run_id, name) DO UPDATE SET digest = EXCLUDED.digest, size = EXCLUDED.size, "
               "created = now()",
               {run_id, epoch, row.name, row.digest, row.size}));
  return rows.affected() > 0;
}

Result<int64_t> ArtifactStore::CountOthers(const std::string& run_id, const std::string& name) {
  YBIS_ASSIGN(const auto rows,
              tx_.Exec("SELECT count(*) FROM artifacts WHERE run_id = $1 AND name <> $2", {run_id, name}));
  return rows[0].Int(0);
}

Result<std::optional<std::string>> ArtifactStore::Get(const std::string& run_id, const std::string& name) {
  YBIS_ASSIGN(const auto rows, tx_.Exec("SELECT b.bytes FROM artifacts a JOIN blobs b ON b.digest = a.digest "
                                        "WHERE a.run_id = $1 AND a.name = $2",
                                        {run_id, name}));
  if (rows.empty()) return std::nullopt;
  return rows[0].Bytes(0);
}

Result<std::vector<ArtifactRow>> ArtifactStore::List(const std::string& run_id) {
  YBIS_ASSIGN(const auto rows,
              tx_.Exec("SELECT name, digest, size FROM artifacts WHERE run_id = $1 ORDER BY name", {run_id}));
  std::vector<ArtifactRow> artifacts;
  for (size_t i = 0; i < rows.size(); ++i) {
    artifacts.push_back({rows[i].Text(0), rows[i].Text(1), rows[i].Int(2)});
  }
  return artifacts;
}

}  // namespace ybis::store
