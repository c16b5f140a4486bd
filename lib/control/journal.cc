#include "control/journal.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "control/record_json.h"
#include "store/event_store.h"

namespace ybis::control {

Result<std::vector<JournalEntry>> Journal::Read(const std::string& run_id, int64_t after, int64_t limit,
                                                std::stop_token stop) {
  const auto work = [&](store::Transaction& tx) { return store::EventStore(tx).Read(run_id, after, limit); };
  YBIS_ASSIGN(auto rows, pool_.Single(work, std::move(stop), store::InDoubt::kRepeat));
  std::vector<JournalEntry> entries;
  for (store::EventRow& row : rows) {
    entries.push_back({row.id, std::move(row.run_id), std::move(row.trace_id), std::move(row.type),
                       std::move(row.message), std::move(row.fields), row.at});
  }
  return entries;
}

Result<std::string> Journal::Lines(const std::string& run_id, std::stop_token stop) {
  constexpr int64_t kPage = 100;  // of entries that may have 68 KiB each
  std::string lines;
  for (int64_t after = 0;;) {
    YBIS_ASSIGN(const auto entries, Read(run_id, after, kPage, stop));
    for (const JournalEntry& entry : entries) {
      lines += DumpJson(ToJson(entry)) + "\n";
      after = entry.id;
      if (lines.size() > kMaxLines) {
        return Fail(ErrorCode::kTooLarge, fmt::format("the journal of run {} has more than {} bytes; read it "
                                                      "entry by entry",
                                                      run_id, kMaxLines));
      }
    }
    if (static_cast<int64_t>(entries.size()) < kPage) return lines;
  }
}

}  // namespace ybis::control
