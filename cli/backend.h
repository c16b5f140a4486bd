#pragma once
// Where tasks live: on this machine (cli/local, over the control core) or in a cluster (cli/cluster, over
// custom resources). Verbs speak to this interface, so that they mean the same on both.
#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "api/task.h"
#include "api/workflow.h"
#include "cli/backend_options.h"
#include "cli/manifest.h"
#include "control/approvals.h"
#include "control/journal.h"
#include "control/task_catalog.h"

namespace ybis::cli {

/// A task and its newest run as they stand.
struct TaskView {
  std::string name;
  std::string namespace_name;
  std::string uid;
  TimePoint created;
  std::string workflow;  ///< that the newest run walks
  api::TaskSpec spec;    ///< as the newest run was ordered
  api::TaskStatus status;
  /// False while the status is still about an older spec (a cluster's operator has not looked yet).
  bool current = true;
  std::shared_ptr<const nlohmann::json> object;  ///< as a YbisTask, for -o json; never null
  /// The run that the task was found by, when it is not the newest: what one reads is this run's.
  std::string older_run;

  /// "" before the first run.
  std::string newest_run() const { return status.run ? status.run->id : std::string(); }
  /// The run that nodes, events, artifacts and logs are read of.
  std::string run_id() const { return older_run.empty() ? newest_run() : older_run; }
};

/// The number of the task's run whose id `reference` is; 0 when it is none of `runs`.
int64_t RunNumber(std::string_view reference, std::string_view task_uid, int64_t runs);
/// Sets older_run for a task that was found by `reference`.
void KeepOlderRun(TaskView& task, const std::string& reference);
/// Refused with `code` when the task was found by an older run: nothing can be done to that one, and the
/// newest was not named.
Status CheckNewest(const TaskView& task, ErrorCode code);

/// Completed, Failed or Cancelled.
bool IsTerminal(api::TaskPhase phase);
/// Nothing more happens by itself: the status is current, and the run is over or waits for a person; or it is
/// an older run.
bool IsOver(const TaskView& task);
/// The exit code that tells how a run stands: 0, 1 or 4.
int ExitCodeOf(api::TaskPhase phase);

/// What a task is made from: a manifest, flags, or a manifest with flags laid over it.
struct NewTask {
  std::string file;
  TaskFlags flags;
};

struct CreatedTask {
  std::string name;
  std::string uid;
  std::string run_id;  ///< "" when it is made later
  std::string next;    ///< what happens now, for people: "task x (uid) is queued; …"
};

struct TaskQuery {
  std::vector<std::string> phases;  ///< empty = all
  int64_t limit = 100;
  control::TaskOrder order = control::TaskOrder::kNewest;
  bool all_namespaces = false;
};

/// A run under way and who holds it.
struct LeaseView {
  control::LeaseSummary lease;
  bool dead = false;  ///< the holder is known to live no more
};

struct WorkflowView {
  api::WorkflowSpec spec;
  std::string problem;  ///< why it cannot be used; "" = accepted
};

/// How a command has to be typed for this backend, for messages that name one.
struct CommandForm {
  std::string program = "ybis";
  std::string flags;  ///< " --backend cluster -n team-a", or ""
  std::string operator()(std::string_view words) const;
};

/// Of the backend that the options mean.
Result<CommandForm> FormOf(const BackendOptions& options);

/// One place where tasks live. Calls block until they are answered, fail, or `stop` is requested
/// (kCancelled). Used from one thread. Errors are for people: kNotFound names what was asked for, kDenied the
/// right that is missing, kUnsupported what this backend cannot do and what does it instead.
class Backend {
 public:
  virtual ~Backend() = default;

  /// The form of commands that reach this backend.
  virtual CommandForm Command() const = 0;

  /// Records a task and queues it. kExists when there is one of that name.
  virtual Result<CreatedTask> Create(const NewTask& task, std::stop_token stop) = 0;
  virtual Result<std::vector<control::TaskSummary>> List(const TaskQuery& query, std::stop_token stop) = 0;
  /// By name, uid, the first four or more characters of the uid, or the id of one of its runs.
  virtual Result<TaskView> Find(const std::string& reference, std::stop_token stop) = 0;
  /// Stops the newest run. The answer is for people: "run x of task y is cancelled".
  virtual Result<std::string> Cancel(const TaskView& task, const std::string& reason,
                                     std::stop_token stop) = 0;
  /// Queues a new run, from `from_node` on unless it is empty. The answer is for people.
  virtual Result<std::string> Retry(const TaskView& task, const std::string& from_node,
                                    std::stop_token stop) = 0;

  /// Nodes of the view's run that finished after the first `after` ones.
  virtual Result<std::vector<control::NodeSummary>> Nodes(const TaskView& task, int64_t after,
                                                          std::stop_token stop) = 0;
  /// Journal entries of the view's run with an id above `after`, oldest first, at most `limit`.
  virtual Result<std::vector<control::JournalEntry>> Events(const TaskView& task, int64_t after,
                                                            int64_t limit, std::stop_token stop) = 0;
  virtual Result<std::vector<api::ArtifactRef>> Artifacts(const TaskView& task, std::stop_token stop) = 0;
  virtual Result<std::string> Artifact(const TaskView& task, const std::string& name,
                                       std::stop_token stop) = 0;
  /// The runner's own words as they come; with `follow` until the run is over.
  virtual Status Logs(const TaskView& task, bool follow, const std::function<void(std::string_view)>& write,
                      std::stop_token stop) = 0;

  /// What the newest run waits for; none when it does not wait.
  virtual Result<std::optional<control::Wait>> WaitOf(const TaskView& task, std::stop_token stop);
  /// Records a person's decision. The request's approver is filled in by the backend: who the caller is here.
  virtual Result<control::ApprovalResult> Decide(const TaskView& task, control::ApprovalRequest request,
                                                 std::stop_token stop);
  /// What happens to a run that was approved or sent to revision, for people.
  virtual std::string AfterDecision(const TaskView& task) const;

  virtual Result<std::vector<LeaseView>> Leases(std::stop_token stop) = 0;
  virtual Result<std::vector<WorkflowView>> Workflows(std::stop_token stop) = 0;
  virtual Result<WorkflowView> Workflow(const std::string& name, std::stop_token stop) = 0;
};

/// Reads the task anew. True when nothing more happens by itself to the run it was about; a newer run ends
/// that too.
Result<bool> HasEnded(Backend& backend, TaskView& task, std::stop_token stop);

/// The backend that the options ask for. Nothing is reached or started before the first call.
Result<std::unique_ptr<Backend>> OpenBackend(const BackendOptions& options, std::stop_token stop);

/// Opens the backend and finds a task on it: what most verbs begin with.
struct FoundTask {
  std::unique_ptr<Backend> backend;
  TaskView task;
};
Result<FoundTask> OpenTask(const BackendOptions& options, const std::string& reference, std::stop_token stop);

}  // namespace ybis::cli
