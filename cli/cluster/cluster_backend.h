#pragma once
// Tasks in a cluster: custom resources, the pods of their runs, and the record behind the operator.
#include "cli/backend.h"
#include "cli/cluster/connection.h"
#include "cli/cluster/record_reader.h"

namespace ybis::cli {

/// Reached with the first call. Used from one thread.
class ClusterBackend final : public Backend {
 public:
  ClusterBackend(Cluster cluster, CommandForm command);
  /// From kubeconfig or as a pod.
  static Result<std::unique_ptr<ClusterBackend>> Open(const BackendOptions& options, std::stop_token stop);

  /// The form of commands that reach the cluster of these options.
  static CommandForm FormOf(const BackendOptions& options);
  CommandForm Command() const override { return command_; }
  Result<CreatedTask> Create(const NewTask& task, std::stop_token stop) override;
  /// Creates the task, or applies it over the one of that name and starts a new run of that. kConflict while
  /// a run of it is under way.
  Result<TaskView> Apply(const NewTask& task, std::stop_token stop);
  /// The task as it would be applied; nothing is asked.
  Result<TaskView> Read(const NewTask& task) const;
  /// A new run of a task that is over, by that workflow.
  Result<TaskView> RunAgain(const TaskView& task, const std::string& workflow, std::stop_token stop);
  /// A task whose wait is decided still says Blocked until its operator has looked: waits for that a little.
  /// Any other task comes back as it is.
  Result<TaskView> AfterDecisions(TaskView task, std::stop_token stop);
  Result<std::vector<control::TaskSummary>> List(const TaskQuery& query, std::stop_token stop) override;
  Result<TaskView> Find(const std::string& reference, std::stop_token stop) override;
  Result<std::string> Cancel(const TaskView& task, const std::string& reason, std::stop_token stop) override;
  Result<std::string> Retry(const TaskView& task, const std::string& from_node,
                            std::stop_token stop) override;
  Result<std::vector<control::NodeSummary>> Nodes(const TaskView& task, int64_t after,
                                                  std::stop_token stop) override;
  Result<std::vector<control::JournalEntry>> Events(const TaskView& task, int64_t after, int64_t limit,
                                                    std::stop_token stop) override;
  Result<std::vector<api::ArtifactRef>> Artifacts(const TaskView& task, std::stop_token stop) override;
  Result<std::string> Artifact(const TaskView& task, const std::string& name, std::stop_token stop) override;
  Status Logs(const TaskView& task, bool follow, const std::function<void(std::string_view)>& write,
              std::stop_token stop) override;
  Result<std::optional<control::Wait>> WaitOf(const TaskView& task, std::stop_token stop) override;
  /// Makes a YbisApproval in our own name and waits a little for what comes of it.
  Result<control::ApprovalResult> Decide(const TaskView& task, control::ApprovalRequest request,
                                         std::stop_token stop) override;
  std::string AfterDecision(const TaskView& task) const override;
  Result<std::vector<LeaseView>> Leases(std::stop_token stop) override;
  Result<std::vector<WorkflowView>> Workflows(std::stop_token stop) override;
  Result<WorkflowView> Workflow(const std::string& name, std::stop_token stop) override;

 private:
  using OnObject = std::function<void(const kube::Object&)>;
  /// Every object, page by page.
  Status ForEach(const kube::Resource& resource, const std::string& ns, const OnObject& on_object,
                 std::stop_token stop);
  Result<nlohmann::json> FindObject(const std::string& reference, std::stop_token stop);
  Result<nlohmann::json> ReadObject(const NewTask& task) const;
  /// Whether a decision about what the task waits for was applied. False, too, for who may not see them.
  Result<bool> IsDecided(const TaskView& task, std::stop_token stop);
  /// What came of a decision, once the operator has looked at it.
  Result<control::ApprovalResult> Outcome(const TaskView& task, const kube::Key& key, std::stop_token stop);
  Status Follow(const TaskView& task, const std::function<void(std::string_view)>& write,
                std::stop_token stop);
  Error Told(Error error, const char* role) const;
  Error WithoutRecord(Error error, const std::string& instead) const;

  Cluster cluster_;
  CommandForm command_;
  kube::KubeClient& api_;
  RecordReader record_;
};

}  // namespace ybis::cli
