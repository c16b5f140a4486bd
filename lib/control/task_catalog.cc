#include "control/task_catalog.h"

#include <nlohmann/json.hpp>

namespace ybis::control {
namespace {

using store::InDoubt;
using store::Row;

/// Whole documents: Postgres reads no field of one that has a NUL anywhere, and the list would fail for all.
constexpr std::string_view kSelectTasks =
    "SELECT t.uid, t.namespace, t.name, t.created, t.runs, r.run_id, r.state, coalesce(nullif(l.node, ''), "
    "r.node), "
    "r.attempt, r.started, r.finished, r.tokens_in + r.tokens_out, r.cost_usd, r.failure, r.result, o.spec, "
    "o.workflow "
    "FROM tasks t JOIN LATERAL (SELECT * FROM runs WHERE task_uid = t.uid ORDER BY number DESC LIMIT 1) r ON "
    "true "
    "JOIN run_orders o ON o.run_id = r.run_id LEFT JOIN leases l ON l.run_id = r.run_id ";

/// $1 namespace, $2 what was typed. First what bears it, found by index; those that begin so only when
/// nothing does.
constexpr std::string_view kNamedSo =
    "WHERE t.namespace = $1 AND t.uid IN (SELECT uid FROM tasks WHERE namespace = $1 AND name = $2 "
    "UNION ALL SELECT $2 UNION ALL SELECT task_uid FROM runs WHERE run_id = $2) "
    "ORDER BY t.name = $2 DESC, t.created DESC LIMIT 6";
constexpr std::string_view kBeginningSo =
    "WHERE t.namespace = $1 AND length($2) >= 4 AND starts_with(t.uid, $2) ORDER BY t.created DESC LIMIT 6";

/// A text of a document; `fallback` when the document, or the text in it, is not there.
std::string TextOf(const std::shared_ptr<const nlohmann::json>& document, const char* pointer,
                   std::string fallback = {}) {
  const nlohmann::json::json_pointer at(pointer);
  if (!document || !document->contains(at) || !document->at(at).is_string()) return fallback;
  return document->at(at).get<std::string>();
}

TaskSummary ReadTask(const Row& row) {
  const auto failure = row.Json(13), result = row.Json(14), spec = row.Json(15), workflow = row.Json(16);
  return {.uid = row.Text(0),
          .namespace_name = row.Text(1),
          .name = row.Text(2),
          .created = row.Time(3),
          .runs = row.Int(4),
          .run_id = row.Text(5),
          .state = row.Text(6),
          .node = row.Text(7),
          .attempt = row.Int(8),
          .started = row.OptionalTime(9),
          .finished = row.OptionalTime(10),
          .reason = TextOf(failure, "/reason"),
          .message = TextOf(failure, "/message"),
          .branch = TextOf(result, "/branch"),
          .tokens = row.Int(11),
          .cost_usd = row.Double(12),
          .title = TextOf(spec, "/title"),
          .objective = TextOf(spec, "/objective"),
          .priority = TextOf(spec, "/priority", "MEDIUM"),
          .repository = TextOf(spec, "/repository/url"),
          .workflow = TextOf(workflow, "/name")};
}

std::vector<TaskSummary> ReadTasks(const store::Rows& rows) {
  std::vector<TaskSummary> tasks;
  for (size_t i = 0; i < rows.size(); ++i) tasks.push_back(ReadTask(rows[i]));
  return tasks;
}

std::string_view OrderBy(TaskOrder order) {
  switch (order) {
    case TaskOrder::kOldest:
      return "ORDER BY t.created, t.uid ";
    case TaskOrder::kPriority:
      return "ORDER BY CASE CASE WHEN strpos(o.spec::text, '\\u0000') = 0 THEN o.spec->>'priority' END WHEN "
             "'HIGH' THEN 0 WHEN 'LOW' THEN 2 ELSE 1 "
             "END, t.created DESC, t.uid ";
    case TaskOrder::kName:
      return "ORDER BY t.name, t.uid ";
    case TaskOrder::kStatus:
      return "ORDER BY array_position(ARRAY['Running', 'Dispatched', 'Queued', 'Blocked', 'Failed', "
             "'Cancelled', "
             "'Completed'], r.state), t.created DESC, t.uid ";
    case TaskOrder::kNewest:
      break;
  }
  return "ORDER BY t.created DESC, t.uid ";
}

}  // namespace

Result<std::vector<TaskSummary>> TaskCatalog::List(const TaskFilter& filter, std::stop_token stop) {
  std::string sql(kSelectTasks);
  sql +=
      "WHERE ($1 = '' OR t.namespace = $1) AND (cardinality($2::text[]) = 0 OR r.state = ANY ($2::text[])) ";
  sql += OrderBy(filter.order);
  sql += "LIMIT $3";
  YBIS_ASSIGN(const auto rows, pool_.Execute(sql, {filter.namespace_name, filter.states, filter.limit},
                                             std::move(stop), InDoubt::kRepeat));
  return ReadTasks(rows);
}

Result<TaskSummary> TaskCatalog::Find(const std::string& namespace_name, const std::string& reference,
                                      std::stop_token stop) {
  std::vector<TaskSummary> tasks;
  for (const std::string_view where : {kNamedSo, kBeginningSo}) {
    YBIS_ASSIGN(const auto rows, pool_.Execute(std::string(kSelectTasks) + std::string(where),
                                               {namespace_name, reference}, stop, InDoubt::kRepeat));
    tasks = ReadTasks(rows);
    if (!tasks.empty()) break;
  }
  if (tasks.empty()) {
    return Fail(ErrorCode::kNotFound,
                fmt::format("there is no task '{}'; `ybis task list` shows those there are", reference));
  }
  if (tasks.size() == 1 || tasks.front().name == reference) return std::move(tasks.front());
  std::string candidates;
  for (const TaskSummary& task : tasks)
    candidates += fmt::format("{}{} ({})", candidates.empty() ? "" : ", ", task.uid, task.name);
  return Fail(ErrorCode::kInvalid, fmt::format("'{}' fits more than one task: {}", reference, candidates));
}

Result<std::vector<NodeSummary>> TaskCatalog::Nodes(const std::string& run_id, int64_t after,
                                                    std::stop_token stop) {
  YBIS_ASSIGN(
      const auto rows,
      pool_.Execute("SELECT seq, node, type, visit, outcome, error, started, finished, output, next_node "
                    "FROM node_executions WHERE run_id = $1 AND seq > $2 ORDER BY seq LIMIT 1000",
                    {run_id, after}, std::move(stop), InDoubt::kRepeat));
  std::vector<NodeSummary> nodes;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row row = rows[i];
    nodes.push_back({row.Int(0), row.Text(1), row.Text(2), row.Int(3), row.Text(4), row.Text(5), row.Time(6),
                     row.Time(7), row.Json(8), row.Text(9)});
  }
  return nodes;
}

Result<api::WorkflowSpec> TaskCatalog::RunWorkflow(const std::string& run_id, std::stop_token stop) {
  YBIS_ASSIGN(const auto rows, pool_.Execute("SELECT workflow FROM run_orders WHERE run_id = $1", {run_id},
                                             std::move(stop), InDoubt::kRepeat));
  if (rows.empty()) return Fail(ErrorCode::kNotFound, "there is no run " + run_id);
  const auto document = rows[0].Json(0);
  return api::ParseWorkflowSpec(document->at("spec"), document->at("name").get<std::string>());
}

Result<std::vector<LeaseSummary>> TaskCatalog::Leases(std::stop_token stop) {
  YBIS_ASSIGN(const auto rows,
              pool_.Execute(
                  "SELECT l.run_id, t.name, r.state, l.holder, l.node, r.attempt, l.granted, l.expires, "
                  "floor(extract(epoch FROM l.expires - now()))::bigint FROM leases l "
                  "JOIN runs r ON r.run_id = l.run_id JOIN tasks t ON t.uid = r.task_uid ORDER BY l.position",
                  {}, std::move(stop), InDoubt::kRepeat));
  std::vector<LeaseSummary> leases;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row row = rows[i];
    LeaseSummary lease{row.Text(0), row.Text(1), row.Text(2),         row.Text(3), row.Text(4),
                       row.Int(5),  row.Time(6), row.OptionalTime(7), {}};
    if (!row.IsNull(8)) lease.left = std::chrono::seconds(row.Int(8));
    leases.push_back(std::move(lease));
  }
  return leases;
}

}  // namespace ybis::control
