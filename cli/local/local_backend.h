#pragma once
// Tasks on this machine: the control core over Postgres.
#include <memory>

#include "cli/backend.h"
#include "cli/local/session.h"

namespace ybis::cli {

/// Opens its session with the first call that needs the record. Used from one thread.
class LocalBackend final : public Backend {
 public:
  explicit LocalBackend(BackendOptions options) : options_(std::move(options)) {}

  CommandForm Command() const override { return {}; }
  Result<CreatedTask> Create(const NewTask& task, std::stop_token stop) override;
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
  /// The runner's log file when it ran on this machine, else what it put into the record.
  Status Logs(const TaskView& task, bool follow, const std::function<void(std::string_view)>& write,
              std::stop_token stop) override;
  Result<std::optional<control::Wait>> WaitOf(const TaskView& task, std::stop_token stop) override;
  /// The approver is the user that this process runs as: "local:<name>".
  Result<control::ApprovalResult> Decide(const TaskView& task, control::ApprovalRequest request,
                                         std::stop_token stop) override;
  std::string AfterDecision(const TaskView& task) const override;
  Result<std::vector<LeaseView>> Leases(std::stop_token stop) override;
  /// The built-in ones.
  Result<std::vector<WorkflowView>> Workflows(std::stop_token stop) override;
  /// A built-in one or a file.
  Result<WorkflowView> Workflow(const std::string& name, std::stop_token stop) override;

 private:
  Result<Session*> Open(std::stop_token stop);

  BackendOptions options_;
  std::unique_ptr<Session> session_;
};

}  // namespace ybis::cli
