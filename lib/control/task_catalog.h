#pragma once
// The record as people look at it: lists of tasks, the nodes of a run, who holds a lease. Read only.
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "api/workflow.h"
#include "base/clock.h"
#include "base/result.h"
#include "store/database.h"

namespace ybis::control {

/// A task and its newest run, a line of a list.
struct TaskSummary {
  std::string uid;
  std::string namespace_name;
  std::string name;
  TimePoint created;
  int64_t runs = 0;
  std::string run_id;
  std::string state;  ///< as ToString(RunState)
  std::string node;
  int64_t attempt = 0;
  std::optional<TimePoint> started;
  std::optional<TimePoint> finished;
  std::string reason;  ///< of a failure or of what blocks
  std::string message;
  std::string branch;
  int64_t tokens = 0;
  double cost_usd = 0;
  std::string title;
  std::string objective;
  std::string priority;
  std::string repository;
  std::string workflow;
};

enum class TaskOrder { kNewest, kOldest, kPriority, kName, kStatus };

struct TaskFilter {
  std::string namespace_name;       ///< empty = all
  std::vector<std::string> states;  ///< of the newest run; empty = all
  int64_t limit = 100;
  TaskOrder order = TaskOrder::kNewest;
};

/// A finished node of a run.
struct NodeSummary {
  int64_t seq = 0;
  std::string node;
  std::string type;
  int64_t visit = 1;
  std::string outcome;  ///< ok or error
  std::string error;
  TimePoint started;
  TimePoint finished;
  std::shared_ptr<const nlohmann::json> output;
  std::string next_node;
};

/// A run that holds a place: dispatched (no expiry) or running.
struct LeaseSummary {
  std::string run_id;
  std::string task;
  std::string state;
  std::string holder;
  std::string node;
  int64_t attempt = 0;
  TimePoint granted;
  std::optional<TimePoint> expires;
  std::optional<std::chrono::seconds> left;  ///< by the database's clock
};

/// Over Postgres. Thread-safe.
class TaskCatalog {
 public:
  explicit TaskCatalog(store::Pool& pool) : pool_(pool) {}

  Result<std::vector<TaskSummary>> List(const TaskFilter& filter, std::stop_token stop);
  /// By name, uid, the first four or more characters of the uid, or the id of one of its runs. kNotFound; or
  /// kInvalid when more than one fits, each named.
  Result<TaskSummary> Find(const std::string& namespace_name, const std::string& reference,
                           std::stop_token stop);
  /// Nodes that finished after the first `after` ones, in order.
  Result<std::vector<NodeSummary>> Nodes(const std::string& run_id, int64_t after, std::stop_token stop);
  /// The graph a run was ordered to walk.
  Result<api::WorkflowSpec> RunWorkflow(const std::string& run_id, std::stop_token stop);
  Result<std::vector<LeaseSummary>> Leases(std::stop_token stop);

 private:
  store::Pool& pool_;
};

}  // namespace ybis::control
