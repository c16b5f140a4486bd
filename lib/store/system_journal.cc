#include "store/system_journal.h"

#include <algorithm>

namespace ybis::store {

Status SystemJournal::Append(const SystemEvent& event) {
  YBIS_TRY(tx_.Exec("SELECT pg_advisory_xact_lock($1)", {kSchemaLock}));
  YBIS_TRY(tx_.ExecScript(kMakeSystemJournal));
  YBIS_TRY(tx_.Exec("INSERT INTO _journal (type, message, fields) VALUES ($1, $2, $3::json)",
                    {event.type, event.message, Param::Json(event.fields)}));
  return {};
}

Result<std::vector<SystemEvent>> SystemJournal::Newest(int64_t limit) {
  YBIS_ASSIGN(const auto there, tx_.Exec("SELECT to_regclass('_journal') IS NOT NULL"));
  std::vector<SystemEvent> events;
  if (!there[0].Bool(0)) return events;
  YBIS_ASSIGN(
      const auto rows,
      tx_.Exec("SELECT id, type, message, fields, at FROM _journal ORDER BY id DESC LIMIT $1", {limit}));
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row row = rows[i];
    events.push_back({row.Int(0), row.Text(1), row.Text(2), row.Json(3), row.Time(4)});
  }
  std::reverse(events.begin(), events.end());
  return events;
}

}  // namespace ybis::store
