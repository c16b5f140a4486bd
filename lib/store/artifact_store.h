#pragma once
// Tables blobs and artifacts: content by digest, and the names under which runs keep it.
#include <optional>
#include <string>
#include <vector>

#include "store/database.h"

namespace ybis::store {

struct ArtifactRow {
  std::string name;
  std::string digest;
  int64_t size = 0;
};

/// Over an open transaction.
class ArtifactStore {
 public:
  explicit ArtifactStore(Transaction& transaction) : tx_(transaction) {}

  /// Whether the content is there already, so that it need not be sent.
  Result<bool> HasBlob(const std::string& digest);
  Status PutBlob(const std::string& digest, std::string bytes);
  /// Names a blob for the run whose lease has `epoch`; locks the lease. False when the epoch is another.
  Result<bool> Name(const std::string& run_id, int64_t epoch, const ArtifactRow& row);
  /// The names a run keeps beside `name`.
  Result<int64_t> CountOthers(const std::string& run_id, const std::string& name);
  Result<std::optional<std::string>> Get(const std::string& run_id, const std::string& name);
  Result<std::vector<ArtifactRow>> List(const std::string& run_id);

 private:
  Transaction& tx_;
};

}  // namespace ybis::store
