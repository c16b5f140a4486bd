#include "store/artifact_store.h"

namespace ybis::store {

Result<bool> ArtifactStore::HasBlob(const std::string& digest) {
  YBIS_ASSIGN(const auto rows, tx_.Exec("SELECT 1 FROM blobs WHERE digest = $1", {digest}));
  return !rows.empty();
}

Status ArtifactStore::PutBlob(const std::string& digest, std::string bytes) {
  const auto size = static_cast<int64_t>(bytes.size());
  YBIS_TRY(tx_.Exec("INSERT INTO blobs (digest, size, bytes) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                    {digest, size, Param::Bytes(std::move(bytes))}));
  return {};
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
