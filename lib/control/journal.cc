#include "control/journal.h"

#include "store/event_store.h"

namespace ybis::control {

Result<std::vector<JournalEntry>> Journal::Read(const std::string& run_id, int64_t after, int64_t limit,
                                                std::stop_token stop) {
  const auto work = [&](store::Transaction& tx) { return store::EventStore(tx).Read(run_id, after, limit); };
  YBIS_ASSIGN(auto rows, pool_.Single(work, std::move(stop), store::InDoubt::kRepeat));
  std::vector<JournalEntry> entries;
  for (store::EventRow& row : rows) {
    entries.push_back({row.id, std::move(row.run_id), std::move(row.type), std::move(row.message),
                       std::move(row.fields), row.at});
  }
  return entries;
}

}  // namespace ybis::control
