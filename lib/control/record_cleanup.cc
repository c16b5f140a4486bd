#include "control/record_cleanup.h"

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/log.h"
#include "store/artifact_store.h"
#include "store/learning_store.h"

namespace ybis::control {
namespace {

using store::ArtifactStore;
using store::InDoubt;
using store::LearningStore;
using store::Transaction;

/// Contents of one transaction, and their bytes: each may have megabytes.
constexpr int64_t kBatch = 200;
constexpr int64_t kBatchBytes = 64 * 1024 * 1024;
/// Patterns of one sweep.
constexpr int64_t kForgets = 1'000;

}  // namespace

// It begins anywhere, since many processes live for a few sweeps only.
RecordCleanUp::RecordCleanUp(store::Pool& pool, Metrics* metrics)
    : pool_(pool), metrics_(metrics), after_("sha256:" + RandomHex(32)), batch_(kBatch) {}

Status RecordCleanUp::SweepBlobs(CleanedUp& cleaned, const std::stop_token& stop) {
  for (int64_t looked = 0; looked < kLooks;) {
    const int64_t limit = std::min(batch_, kLooks - looked);
    const auto work = [&](Transaction& tx) {
      return ArtifactStore(tx).DeleteUnnamed(after_, limit, kBatchBytes, kMinAge);
    };
    const auto swept = pool_.Single(work, stop, InDoubt::kRepeat);
    // What takes too long as a whole is tried in smaller pieces.
    batch_ = swept ? std::min(kBatch, batch_ * 2) : std::max<int64_t>(1, limit / 2);
    if (!swept) return Fail(swept.error());
    cleaned.blobs += swept->deleted;
    cleaned.bytes += swept->bytes;
    looked += swept->looked;
    after_ = swept->last;
    if (after_.empty()) break;
  }
  return {};
}

Result<CleanedUp> RecordCleanUp::Sweep(std::stop_token stop) {
  CleanedUp cleaned;
  const Status swept = SweepBlobs(cleaned, stop);
  if (cleaned.blobs > 0) {
    log::Info("deleted contents that no run names any more",
              {{"blobs", cleaned.blobs}, {"bytes", cleaned.bytes}});
    if (metrics_ != nullptr) metrics_->BlobsDeleted(cleaned.blobs, cleaned.bytes);
  }
  YBIS_TRY(swept);
  const auto forget = [](Transaction& tx) { return LearningStore(tx).ForgetPatterns(kPatterns, kForgets); };
  YBIS_ASSIGN(cleaned.patterns, pool_.Single(forget, stop, InDoubt::kRepeat));
  if (cleaned.patterns > 0) {
    log::Info("forgot patterns of failures beyond those kept", {{"patterns", cleaned.patterns}});
  }
  return cleaned;
}

}  // namespace ybis::control
