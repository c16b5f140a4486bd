// Artifacts of a run: names, caps, content by digest.
#include <fmt/format.h>

#include <algorithm>

#include "base/digest.h"
#include "control/journal.h"
#include "control/run_ledger.h"
#include "store/artifact_store.h"

namespace ybis::control {
namespace {

using store::ArtifactStore;
using store::InDoubt;
using store::Transaction;

bool IsNamePart(std::string_view part) {
  if (part.empty() || part.front() == '.') return false;
  return part.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
         std::string_view::npos;
}

Status CheckName(std::string_view name) {
  bool good = name.size() <= 200;
  for (std::string_view rest = name; good;) {
    const size_t slash = rest.find('/');
    good = IsNamePart(rest.substr(0, slash));
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  if (good) return {};
  return Fail(
      ErrorCode::kInvalid,
      "artifact name: must have at most 200 characters of A-Z a-z 0-9 . _ - and '/', with no part that is "
      "empty or starts with a dot");
}

api::ArtifactRef RefOf(const store::ArtifactRow& row) { return {row.name, row.digest, row.size}; }

}  // namespace

Result<api::ArtifactRef> RunLedger::PutArtifact(const std::string& run_id, int64_t epoch,
                                                const std::string& name, std::string bytes,
                                                std::stop_token stop) {
  YBIS_TRY(CheckName(name));
  if (name == kEventsArtifact) {
    return Fail(ErrorCode::kInvalid, fmt::format("artifact name: {} is the journal's", name));
  }
  if (bytes.size() > settings_.max_artifact_bytes) {
    return Fail(ErrorCode::kTooLarge, fmt::format("artifact {}: {} bytes, more than the {} allowed", name,
                                                  bytes.size(), settings_.max_artifact_bytes));
  }
  const store::ArtifactRow row{name, Digest(bytes), static_cast<int64_t>(bytes.size())};
  bool fenced = false;
  const auto work = [&](Transaction& tx) -> Status {
    fenced = false;
    ArtifactStore artifacts(tx);
    YBIS_ASSIGN(const int64_t count, artifacts.CountOthers(run_id, name));
    if (count >= static_cast<int64_t>(settings_.max_artifacts)) {
      return Fail(Error{ErrorCode::kExhausted,
                        fmt::format("run {} has {} artifacts, the most allowed", run_id, count)});
    }
    YBIS_ASSIGN(const bool known, artifacts.RenewBlob(row.digest));
    if (!known) YBIS_TRY(artifacts.PutBlob(row.digest, bytes));
    YBIS_ASSIGN(const bool named, artifacts.Name(run_id, epoch, row));
    if (named) return {};
    fenced = true;
    return Fail(ErrorCode::kStale, "fenced");  // an error, so that the blob is not kept without a name
  };
  const Status done = pool_.Transact(work, stop, InDoubt::kRepeat);
  if (fenced) return Fail(WhyFenced(run_id, stop));
  YBIS_TRY(done);
  return RefOf(row);
}

Result<std::string> RunLedger::GetArtifact(const std::string& run_id, const std::string& name,
                                           std::stop_token stop) {
  YBIS_TRY(CheckName(name));
  YBIS_ASSIGN(auto bytes, pool_.Single([&](Transaction& tx) { return ArtifactStore(tx).Get(run_id, name); },
                                       stop, InDoubt::kRepeat));
  if (!bytes && name == kEventsArtifact) {
    YBIS_ASSIGN(std::string lines, Journal(pool_).Lines(run_id, stop));
    if (!lines.empty()) return lines;
  }
  if (!bytes) return Fail(ErrorCode::kNotFound, fmt::format("run {} has no artifact {}", run_id, name));
  return std::move(*bytes);
}

Result<std::vector<api::ArtifactRef>> RunLedger::ListArtifacts(const std::string& run_id,
                                                               std::stop_token stop) {
  YBIS_ASSIGN(const auto rows, pool_.Single([&](Transaction& tx) { return ArtifactStore(tx).List(run_id); },
                                            stop, InDoubt::kRepeat));
  std::vector<api::ArtifactRef> refs;
  for (const store::ArtifactRow& row : rows) refs.push_back(RefOf(row));
  const auto events = Journal(pool_).Lines(run_id, stop);
  if (!events && events.error().code == ErrorCode::kTooLarge) return refs;  // the rest can still be had
  if (!events) return Fail(events.error());
  if (!events->empty()) {
    refs.push_back({std::string(kEventsArtifact), Digest(*events), static_cast<int64_t>(events->size())});
    std::sort(refs.begin(), refs.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  }
  return refs;
}

}  // namespace ybis::control
