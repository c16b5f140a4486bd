#pragma once
// Tables tasks, runs and run_orders.
#include <optional>
#include <string>
#include <vector>

#include "store/database.h"
#include "store/learning_store.h"

namespace ybis::store {

/// One run as it stands, its task's name and its live lease with it.
struct RunRow {
  std::string run_id;
  std::string task_uid;
  std::string namespace_name;
  std::string task_name;
  int64_t number = 0;
  int64_t attempt = 0;
  int64_t infra_failures = 0;
  std::string state;
  std::string rerun_token;
  std::string node;
  int64_t epoch = 0;
  std::optional<TimePoint> lease_expires;
  TimePoint created;
  std::optional<TimePoint> started;
  std::optional<TimePoint> finished;
  bool cancel_requested = false;
  std::shared_ptr<const nlohmann::json> result;
  std::shared_ptr<const nlohmann::json> verification;
  std::shared_ptr<const nlohmann::json> failure;
  std::string subject_digest;
  int64_t tokens_in = 0;
  int64_t tokens_out = 0;
  double cost_usd = 0;
  int64_t llm_calls = 0;
  std::shared_ptr<const nlohmann::json> artifacts;  ///< list of {name, digest, size}
  int64_t generation = 0;                           ///< of the task, as it was last submitted
  std::string hold_reason;                          ///< empty = it is not held
  std::string hold_message;
  std::optional<std::chrono::seconds> hold_left;  ///< until it is tried again; 0 or less = now
};

struct TaskRow {
  std::string uid;
  std::string namespace_name;
  std::string name;
  int64_t generation = 0;
};

/// What a run was ordered to do; documents as the API writes them.
struct OrderRow {
  std::shared_ptr<const nlohmann::json> spec;
  std::shared_ptr<const nlohmann::json> workflow;
  std::shared_ptr<const nlohmann::json> policy;
  int64_t timeout_seconds = 0;
  int64_t max_infra = 0;
};

/// How a run ends (or blocks).
struct RunEnd {
  std::string state;  ///< Completed, Failed, Cancelled or Blocked
  std::shared_ptr<const nlohmann::json> result;
  std::shared_ptr<const nlohmann::json> verification;
  std::shared_ptr<const nlohmann::json> failure;
  std::string subject_digest;
  std::string event;              ///< type of the journal entry
  std::string message;            ///< of the journal entry
  std::optional<ErrorRow> error;  ///< recorded when it ends Failed
};

/// What a blocked run waits for.
struct NewWait {
  std::string node;  ///< empty = where the lease says
  int64_t ttl_seconds = 0;
  int64_t required = 1;
  int64_t reminder_seconds = 0;  ///< 0 = none
};

/// Over an open transaction; as short-lived.
class RunStore {
 public:
  explicit RunStore(Transaction& transaction) : tx_(transaction) {}

  /// Whether another task of the namespace has this one's name.
  Result<bool> NameTaken(const TaskRow& task);
  /// Inserts the task or notes its newer generation; writes nothing when there is nothing new.
  Status PutTask(const TaskRow& task);
  /// A new run with the next number, its order and its journal entry. Its id is the task uid's first 8
  /// characters and the number; more of the uid where another task's run has that id already.
  Result<std::string> AddRun(const TaskRow& task, const std::string& rerun_token, const OrderRow& order);
  Status ReplaceOrder(const std::string& run_id, const OrderRow& order);

  Result<std::optional<RunRow>> Find(const std::string& run_id);
  Result<std::vector<RunRow>> FindAll(const std::vector<std::string>& run_ids);
  Result<std::optional<RunRow>> Latest(const std::string& task_uid);
  Result<std::optional<RunRow>> ByToken(const std::string& task_uid, const std::string& rerun_token);
  Result<std::optional<OrderRow>> Order(const std::string& run_id);
  /// "" when there is no such run.
  Result<std::string> TraceId(const std::string& run_id);
  Result<int64_t> Generation(const std::string& task_uid);

  /// Ends a run that is not over, whoever holds it: it leaves queue and leases, its epoch moves on, its usage
  /// is summed, its figures go to the table metrics. False when it was over already or is not there.
  Result<bool> End(const std::string& run_id, const RunEnd& end);
  /// The same by the runner that holds `epoch`, in one statement. With a cancel request a run that did not
  /// complete ends Cancelled. Returns its task's key, or none when the epoch is not the current one.
  Result<std::optional<std::string>> EndByHolder(const std::string& run_id, int64_t epoch, const RunEnd& end);
  /// The same for a run that blocks: its wait begins and the clock of its deadline stops.
  Result<std::optional<std::string>> BlockByHolder(const std::string& run_id, int64_t epoch,
                                                   const RunEnd& end, const NewWait& wait);
  Status RequestCancel(const std::string& run_id, const std::string& reason);

 private:
  Transaction& tx_;
};

}  // namespace ybis::store
