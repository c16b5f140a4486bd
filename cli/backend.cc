#include "cli/backend.h"

#include <fmt/format.h>

#include <charconv>

#include "cli/cluster/cluster_backend.h"
#include "cli/local/local_backend.h"
#include "cli/verb.h"

namespace ybis::cli {

bool IsTerminal(api::TaskPhase phase) {
  return phase == api::TaskPhase::kCompleted || phase == api::TaskPhase::kFailed ||
         phase == api::TaskPhase::kCancelled;
}

int64_t RunNumber(std::string_view reference, std::string_view task_uid, int64_t runs) {
  const std::string beginning = fmt::format("{}-", task_uid.substr(0, 8));
  if (!reference.starts_with(beginning)) return 0;
  const std::string_view digits = reference.substr(beginning.size());
  int64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return std::to_string(number) == digits && number <= runs ? number : 0;
}

void KeepOlderRun(TaskView& task, const std::string& reference) {
  const int64_t runs = task.status.run ? task.status.run->number : 0;
  const int64_t number = RunNumber(reference, task.uid, runs);
  if (number > 0 && number < runs) task.older_run = reference;
}

Status CheckNewest(const TaskView& task, ErrorCode code) {
  if (task.older_run.empty()) return {};
  return Fail(code, fmt::format("run {} of task {} is not its newest, which is {}: nothing was done",
                                task.older_run, task.name, task.newest_run()));
}

bool IsOver(const TaskView& task) {
  if (!task.older_run.empty()) return true;
  return task.current && (IsTerminal(task.status.phase) || task.status.phase == api::TaskPhase::kBlocked);
}

int ExitCodeOf(api::TaskPhase phase) {
  if (phase == api::TaskPhase::kCompleted) return kExitOk;
  return phase == api::TaskPhase::kBlocked ? kExitBlocked : kExitFailed;
}

Result<std::optional<control::Wait>> Backend::WaitOf(const TaskView&, std::stop_token) {
  return Fail(ErrorCode::kUnsupported, "this backend does not tell what waits; look at the task's status");
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): backends that decide keep it
Result<control::ApprovalResult> Backend::Decide(const TaskView& task, control::ApprovalRequest,
                                                std::stop_token) {
  return Fail(
      ErrorCode::kUnsupported,
      fmt::format("decisions about task {} are YbisApproval objects: apply one with kubectl", task.name));
}

std::string Backend::AfterDecision(const TaskView& task) const {
  return fmt::format("`{}` shows how it goes on", Command()("task status " + task.name));
}

std::string CommandForm::operator()(std::string_view words) const {
  return fmt::format("{} {}{}", program, words, flags);
}

Result<CommandForm> FormOf(const BackendOptions& options) {
  YBIS_ASSIGN(const bool cluster, IsCluster(options));
  return cluster ? ClusterBackend::FormOf(options) : CommandForm();
}

Result<bool> HasEnded(Backend& backend, TaskView& task, std::stop_token stop) {
  YBIS_ASSIGN(TaskView now, backend.Find(task.name, stop));
  if (!task.run_id().empty() && now.run_id() != task.run_id()) return true;
  task = std::move(now);
  return IsOver(task);
}

Result<std::unique_ptr<Backend>> OpenBackend(const BackendOptions& options, std::stop_token stop) {
  YBIS_ASSIGN(const bool cluster, IsCluster(options));
  if (cluster) {
    YBIS_ASSIGN(auto backend, ClusterBackend::Open(options, stop));
    return std::unique_ptr<Backend>(std::move(backend));
  }
  return std::unique_ptr<Backend>(std::make_unique<LocalBackend>(options));
}

Result<FoundTask> OpenTask(const BackendOptions& options, const std::string& reference,
                           std::stop_token stop) {
  FoundTask found;
  YBIS_ASSIGN(found.backend, OpenBackend(options, stop));
  YBIS_ASSIGN(found.task, found.backend->Find(reference, stop));
  return found;
}

}  // namespace ybis::cli
