#include "cli/local/local_backend.h"

#include <pwd.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "cli/local/process_name.h"
#include "cli/local/task_input.h"
#include "cli/local/views.h"
#include "control/run_ledger.h"
#include "control/task_queue.h"
#include "workflow/loader.h"

namespace ybis::cli {
namespace {

using control::RunRecord;

/// Copies what a file has from `at` on.
void CopyFrom(const std::function<void(std::string_view)>& write, const std::filesystem::path& file,
              std::streamoff& at) {
  std::ifstream in(file, std::ios::binary);
  in.seekg(at);
  char buffer[65'536];
  while (in.read(buffer, sizeof(buffer)) || in.gcount() > 0) {
    write({buffer, static_cast<size_t>(in.gcount())});
    at += in.gcount();
  }
}

/// Of how many attempts of its run a runner's log tells.
int64_t AttemptsIn(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  int64_t attempts = 0;
  for (std::string line; std::getline(in, line);)
    attempts += line.find(R"("msg":"run claimed")") == std::string::npos ? 0 : 1;
  return attempts;
}

Result<TaskInput> ReadNewTask(const NewTask& task, const control::Config& config) {
  YBIS_ASSIGN(TaskInput input,
              task.file.empty() ? TaskFromFlags(task.flags) : ReadTaskFile(task.file, task.flags));
  YBIS_TRY(CheckAgainst(config, input.spec, input.workflow, false));
  return input;
}

/// By the effective uid, so that it is who the process acts as, whatever the environment says.
std::string ThisApprover() {
  const uid_t uid = ::geteuid();
  passwd entry{};
  passwd* found = nullptr;
  char buffer[4096];
  const bool known = ::getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found) == 0 && found != nullptr;
  return "local:" + (known ? std::string(entry.pw_name) : std::to_string(uid));
}

}  // namespace

Result<Session*> LocalBackend::Open(std::stop_token stop) {
  if (!session_) {
    YBIS_ASSIGN(session_, Session::Open(options_, "", stop));
  }
  return session_.get();
}

Result<CreatedTask> LocalBackend::Create(const NewTask& task, std::stop_token stop) {
  YBIS_ASSIGN(Session * session, Open(stop));
  YBIS_ASSIGN(const auto config, LoadConfigOf(options_, session->environment(), session->folders()));
  YBIS_ASSIGN(const TaskInput input, ReadNewTask(task, config));
  control::TaskQueue queue(session->pool(), config.limits.admission);
  control::TaskSubmission submission = SubmissionOf(config, input, NewUuid());
  submission.unique_name = true;
  const auto run = queue.Enqueue(submission);
  if (!run && run.error().code == ErrorCode::kExists) {
    return Fail(
        ErrorCode::kExists,
        fmt::format("task {} is there already: `ybis retry {}` starts it again; give another --name for a "
                    "new one",
                    input.name, input.name));
  }
  if (!run) return Fail(run.error());
  return CreatedTask{
      run->task_name, run->task_uid, run->run_id,
      fmt::format("task {} ({}) is queued; `ybis worker start` takes up what is queued, `ybis run {}` runs "
                  "it here",
                  run->task_name, run->task_uid.substr(0, 8), run->task_name)};
}

Result<std::vector<control::TaskSummary>> LocalBackend::List(const TaskQuery& query, std::stop_token stop) {
  YBIS_ASSIGN(Session * session, Open(stop));
  control::TaskFilter filter{.namespace_name = kLocalNamespace, .limit = query.limit, .order = query.order};
  for (const std::string& phase : query.phases) {
    filter.states.push_back(phase);
    if (phase == "Queued") filter.states.emplace_back("Dispatched");
  }
  YBIS_ASSIGN(auto tasks, control::TaskCatalog(session->pool()).List(filter, stop));
  for (control::TaskSummary& task : tasks) task.state = PhaseOf(task.state);
  return tasks;
}

Result<TaskView> LocalBackend::Find(const std::string& reference, std::stop_token stop) {
  YBIS_ASSIGN(Session * session, Open(stop));
  control::RunLedger ledger(session->pool());
  YBIS_ASSIGN(const auto task, control::TaskCatalog(session->pool()).Find(kLocalNamespace, reference, stop));
  YBIS_ASSIGN(const RunRecord run, ledger.GetRun(task.run_id, stop));
  TaskView view{
      task.name, task.namespace_name, task.uid, task.created, task.workflow, {}, StatusOf(run), true, {}};
  YBIS_ASSIGN(view.spec, ledger.RunSpec(task.run_id, stop));
  YBIS_ASSIGN(const auto wait, control::Approvals(session->pool()).WaitOf(task.run_id, stop));
  if (wait) view.status.approval = control::AwaitedBy(*wait);
  view.object = std::make_shared<const nlohmann::json>(TaskObject(task, view.spec, view.status));
  KeepOlderRun(view, reference);
  return view;
}

Result<std::string> LocalBackend::Cancel(const TaskView& task, const std::string& reason,
                                         std::stop_token stop) {
  YBIS_ASSIGN(Session * session, Open(stop));
  YBIS_TRY(control::TaskQueue(session->pool(), {}).Cancel(task.newest_run(), reason));
  YBIS_ASSIGN(const RunRecord after, control::RunLedger(session->pool()).GetRun(task.newest_run(), stop));
  return fmt::format("run {} of task {} {}", after.run_id, task.name,
                     control::IsTerminal(after.state)
                         ? "is cancelled"
                         : "is being stopped: its runner hears of it at its next heartbeat");
}

Result<std::string> LocalBackend::Retry(const TaskView& task, const std::string& from_node,
                                        std::stop_token stop) {
  YBIS_ASSIGN(Session * session, Open(stop));
  YBIS_ASSIGN(const auto config, LoadConfigOf(options_, session->environment(), session->folders()));
  control::TaskQueue queue(session->pool(), config.limits.admission);
  control::RunLedger ledger(session->pool());
  TaskInput input{task.name, task.spec, {}};
  YBIS_ASSIGN(input.workflow, control::TaskCatalog(session->pool()).RunWorkflow(task.newest_run(), stop));
  YBIS_ASSIGN(const api::RunPolicy policy, ledger.RunPolicy(task.newest_run(), stop));
  input.sync = !policy.project_root.empty();
  input.spec.rerun_token = RandomHex(8);
  input.spec.rerun_from = from_node;
  const control::TaskSubmission submission = SubmissionOf(config, input, task.uid);
  // Before a run that waits is given up for it.
  if (!from_node.empty()) YBIS_TRY(queue.CheckRerun(submission));
  if (task.status.phase == api::TaskPhase::kBlocked)
    YBIS_TRY(queue.Cancel(task.newest_run(), "superseded by a retry"));
  YBIS_ASSIGN(const RunRecord run, queue.Enqueue(submission));
  return fmt::format("task {} is queued again as run {}; `ybis run {}` runs it here", run.task_name,
                     run.run_id, run.task_name);
}

Result<std::vector<control::NodeSummary>> LocalBackend::Nodes(const TaskView& task, int64_t after,
                                                              std::stop_token stop) {
  YBIS_ASSIGN(Session * session, Open(stop));
  return control::TaskCatalog(session->pool()).Nodes(task.run_id(), after, stop);
}

Result<std::vector<control::JournalEntry>> LocalBackend::Events(const TaskView& task, int64_t after,
                                                                int64_t limit, std::stop_token stop) {
  YBIS_ASSIGN(Session * session, Open(stop));
  return control::Journal(session->pool()).Read(task.run_id(), after, limit, stop);
}

Result<std::vector<api::ArtifactRef>> LocalBackend::Artifacts(const TaskView& task, std::stop_token stop) {
  YBIS_ASSIGN(Session * session, Open(stop));
  return control::RunLedger(session->pool()).ListArtifacts(task.run_id(), stop);
}

Result<std::string> LocalBackend::Artifact(const TaskView& task, const std::string& name,
                                           std::stop_token stop) {
  YBIS_ASSIGN(Session * session, Open(stop));
  return control::RunLedger(session->pool()).GetArtifact(task.run_id(), name, stop);
}

Status LocalBackend::Logs(const TaskView& task, bool follow,
                          const std::function<void(std::string_view)>& write, std::stop_token stop) {
  YBIS_ASSIGN(Session * session, Open(stop));
  control::RunLedger ledger(session->pool());
  const auto file = session->folders().Run(task.run_id()) / "runner.log";
  for (std::streamoff at = 0;;) {
    YBIS_ASSIGN(const RunRecord run, ledger.GetRun(task.run_id(), {}));
    const bool over = control::IsTerminal(run.state) || run.state == control::RunState::kBlocked;
    const bool there = std::filesystem::exists(file);
    // Another machine's runner told the record alone.
    if (over ? AttemptsIn(file) < run.attempt : !there && !follow) {
      const auto lines = ledger.GetArtifact(task.run_id(), "logs.jsonl", stop);
      if (lines) write(*lines);
      if (lines || !there) return lines ? Status() : Status(Fail(lines.error()));
    }
    CopyFrom(write, file, at);
    if (!follow || over) return {};
    if (!SystemClock().SleepFor(std::chrono::milliseconds(300), stop)) return {};
  }
}

Result<std::optional<control::Wait>> LocalBackend::WaitOf(const TaskView& task, std::stop_token stop) {
  YBIS_ASSIGN(Session * session, Open(stop));
  return control::Approvals(session->pool()).WaitOf(task.newest_run(), stop);
}

Result<control::ApprovalResult> LocalBackend::Decide(const TaskView&, control::ApprovalRequest request,
                                                     std::stop_token stop) {
  YBIS_ASSIGN(Session * session, Open(stop));
  request.approver = ThisApprover();
  return control::Approvals(session->pool()).Decide(request, stop);
}

std::string LocalBackend::AfterDecision(const TaskView& task) const {
  return fmt::format("a running worker takes it up; `ybis run {}` goes on with it here", task.name);
}

Result<std::vector<LeaseView>> LocalBackend::Leases(std::stop_token stop) {
  YBIS_ASSIGN(Session * session, Open(stop));
  YBIS_ASSIGN(const auto leases, control::TaskCatalog(session->pool()).Leases(stop));
  std::vector<LeaseView> out;
  for (const control::LeaseSummary& lease : leases) out.push_back({lease, IsGone(lease.holder)});
  return out;
}

Result<std::vector<WorkflowView>> LocalBackend::Workflows(std::stop_token) {
  std::vector<WorkflowView> out;
  for (const std::string& name : workflow::BuiltInWorkflowNames()) {
    YBIS_ASSIGN(auto spec, workflow::BuiltInWorkflow(name));
    out.push_back({std::move(spec), {}});
  }
  return out;
}

Result<WorkflowView> LocalBackend::Workflow(const std::string& name, std::stop_token) {
  YBIS_ASSIGN(auto spec, FindWorkflow(name));
  return WorkflowView{std::move(spec), {}};
}

}  // namespace ybis::cli
