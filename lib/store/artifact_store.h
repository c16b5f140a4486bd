#pragma once
// Tables blobs and artifacts: content by digest, and the names under which runs keep it.
#include <chrono>
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

/// One step of deleting contents that no run names any more.
struct BlobSweep {
  int64_t looked = 0;   ///< contents looked at
  std::string last;     ///< digest of the last of them; "" when there are no more
  int64_t deleted = 0;  ///< contents
  int64_t bytes = 0;    ///< of what was deleted
};

/// Over an open transaction. Content that somebody is told to be there stays until the end of that
/// transaction, and is young afterwards.
class ArtifactStore {
 public:
  explicit ArtifactStore(Transaction& transaction) : tx_(transaction) {}

  /// Whether the content is there already, so that it need not be sent; it then counts as given now.
  Result<bool> RenewBlob(const std::string& digest);
  /// Content that is there already counts as given now.
  Status PutBlob(const std::string& digest, std::string bytes);
  /// Names a blob for the run whose lease has `epoch`; locks the lease. False when the epoch is another.
  Result<bool> Name(const std::string& run_id, int64_t epoch, const ArtifactRow& row);
  /// Of the contents with the digests next after `after`, at most `limit` and `bytes` but one at least,
  /// deletes those that no run names and that nobody has given for `min_age`. What is in use just then is
  /// left for another time.
  Result<BlobSweep> DeleteUnnamed(const std::string& after, int64_t limit, int64_t bytes,
                                  std::chrono::seconds min_age);
  /// The names a run keeps beside `name`.
  Result<int64_t> CountOthers(const std::string& run_id, const std::string& name);
  Result<std::optional<std::string>> Get(const std::string& run_id, const std::string& name);
  Result<std::vector<ArtifactRow>> List(const std::string& run_id);

 private:
  Transaction& tx_;
};

}  // namespace ybis::store
