#include "store/event_store.h"

namespace ybis::store {

Result<bool> EventStore::Append(const EventRow& event) {
  YBIS_ASSIGN(const auto rows,
              tx_.Exec("WITH r AS (SELECT run_id FROM runs WHERE run_id = $1), "
                       "e AS (INSERT INTO events (run_id, key, type, message, fields) "
                       "SELECT run_id, $2, $3, $4, $5::json FROM r ON CONFLICT DO NOTHING) SELECT 1 FROM r",
                       {event.run_id, event.key, event.type, event.message, Param::Json(event.fields)}));
  return !rows.empty();
}

Result<bool> EventStore::AppendByHolder(const EventRow& event, int64_t epoch, int64_t max_events) {
  YBIS_ASSIGN(const auto rows,
              tx_.Exec("WITH l AS (UPDATE leases SET events = events + 1 WHERE run_id = $1 AND epoch = $2 "
                       "AND events < $3 RETURNING run_id), "
                       "e AS (INSERT INTO events (run_id, key, type, message, fields, at) "
                       "SELECT run_id, $4, $5, $6, $7::json, $8::timestamptz FROM l ON CONFLICT DO NOTHING) "
                       "SELECT 1 FROM l",
                       {event.run_id, epoch, max_events, event.key, event.type, event.message,
                        Param::Json(event.fields), event.at}));
  return !rows.empty();
}

Result<std::vector<EventRow>> EventStore::Read(const std::string& run_id, int64_t after, int64_t limit) {
  YBIS_ASSIGN(const auto rows,
              tx_.Exec("SELECT e.id, e.run_id, e.key, e.type, e.message, e.fields, e.at, r.trace_id "
                       "FROM events e JOIN runs r ON r.run_id = e.run_id "
                       "WHERE e.run_id = $1 AND e.id > $2 ORDER BY e.id LIMIT $3",
                       {run_id, after, limit}));
  std::vector<EventRow> events;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row row = rows[i];
    events.push_back({row.Int(0), row.Text(1), row.Text(2), row.Text(3), row.Text(4), row.Json(5),
                      row.Time(6), row.Text(7)});
  }
  return events;
}

}  // namespace ybis::store
