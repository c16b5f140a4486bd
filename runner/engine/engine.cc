#include "runner/engine/engine.h"

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/log_context.h"
#include "runner/engine/approval.h"
#include "runner/engine/delivery.h"
#include "runner/engine/sync_events.h"
#include "runner/engine/walk.h"

namespace ybis::runner {
namespace {

using nlohmann::json;

/// Of the run whose checkpoint it is: a rerun's first one is the earlier run's.
constexpr const char* kRunId = "runId";

/// A new run that goes on from an earlier run's checkpoint and has not got beyond it. Its own loop may come
/// back to the node that it began with; then the checkpoint is its own.
bool BeginsInTheMiddle(const api::ClaimResponse& claim) {
  const std::string& node = claim.order.spec.rerun_from;
  if (!claim.checkpoint || node.empty() || claim.checkpoint->next_node != node) return false;
  if (!claim.checkpoint->state) return true;
  const json run = claim.checkpoint->state->value(kRunState, json::object());
  return !run.is_object() || run.value(kRunId, std::string()) != claim.order.run_id;
}

api::Checkpoint StartOf(const api::ClaimResponse& claim) {
  if (claim.checkpoint && !BeginsInTheMiddle(claim)) return *claim.checkpoint;
  if (claim.checkpoint) {
    api::Checkpoint checkpoint = *claim.checkpoint;
    json state = checkpoint.state ? *checkpoint.state : json::object();
    state.erase("usage");  // the earlier run paid that
    state[kRunState][kRunId] = claim.order.run_id;
    checkpoint.state = std::make_shared<const json>(std::move(state));
    return checkpoint;
  }
  return {.next_node = claim.order.workflow.entry_point,
          .state = std::make_shared<const json>(json::object())};
}

/// gate.json tells that a person approved, beside the gate's own verdict.
Outcome<void> RecordApproval(RunFolder& folder, const api::Checkpoint& checkpoint, std::stop_token stop) {
  const auto gate = checkpoint.state->find("gate");
  if (gate == checkpoint.state->end() || !gate->contains("approval")) return {};
  return folder.PutArtifact("gate.json", *gate, std::move(stop));
}

/// What people are shown is what a decision would be about: an attempt that died may have put up a change
/// that no checkpoint knows. The record is asked, not the volume, which hears of it later.
Outcome<void> ShowCheckpoint(RunFolder& folder, RunApi& api, const api::Checkpoint& checkpoint,
                             const std::stop_token& stop) {
  const auto shown = api.GetArtifact("patch.diff", stop);
  if (!shown && shown.error().code != ErrorCode::kNotFound)
    return FaultUnexpected(FaultOf(FaultSource::kRunApi, shown.error()));
  if ((shown ? *shown : std::string()) == checkpoint.patch) return {};
  return folder.PutArtifact("patch.diff", checkpoint.patch, stop);
}

/// A stop token of its own for the last words, which the run's own stop must not cut off.
class Goodbye {
 public:
  Goodbye(Clock& clock, Duration limit) : timer_(clock, limit, [this] { source_.request_stop(); }) {}
  std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  Timer timer_;
};

}  // namespace

Engine::Engine(EngineSettings settings, RunApi& api, CommandRunner& commands, Clock& clock)
    : settings_(std::move(settings)), api_(api), commands_(commands), clock_(clock) {}

ExitCode Engine::Run(std::stop_token terminate) {
  const std::stop_callback on_terminate(terminate, [this] { stop_.Request(StopCause::kTerminated); });
  auto claim =
      api_.Claim({.runner_version = settings_.runner_version, .host = settings_.host}, stop_.token());
  if (!claim) return ClaimFailed(claim.error());
  return WaitWhenBlocked(RunClaimed(std::move(*claim)), terminate);
}

/// By now nothing is held: lease, heartbeat and worktree are given up. Whoever suspends the Job ends this
/// process; a process that ended by itself would complete the Job.
ExitCode Engine::WaitWhenBlocked(ExitCode code, const std::stop_token& terminate) const {
  if (!blocked_ || settings_.wait_when_blocked <= Duration(0)) return code;
  clock_.SleepFor(settings_.wait_when_blocked, terminate);
  return ExitCode::kBlocked;
}

ExitCode Engine::ClaimFailed(const Error& error) const {
  log::Error("the run cannot be claimed", {{"run", settings_.run_id}, {"error", error.message}});
  if (stop_.cause() == StopCause::kTerminated) return ExitCode::kTerminated;
  switch (error.code) {
    case ErrorCode::kGone:       // it has ended already
    case ErrorCode::kCancelled:  // or is not wanted any more
      return ExitCode::kDone;
    case ErrorCode::kTimeout:  // past its deadline, or the core is silent
      return error.retryable ? ExitCode::kInfrastructure : ExitCode::kTaskFailed;
    case ErrorCode::kStale:
    case ErrorCode::kConflict:
      return ExitCode::kLeaseLost;
    case ErrorCode::kNotFound:
    case ErrorCode::kInvalid:
      return ExitCode::kTaskFailed;
    default:
      return ExitCode::kInfrastructure;
  }
}

ExitCode Engine::RunClaimed(api::ClaimResponse claim) {
  lease_ = {.run_id = settings_.run_id,
            .epoch = claim.epoch,
            .attempt = claim.attempt,
            .infra_failures = claim.infra_failures,
            .trace_id = claim.order.trace_id,
            .has_past = claim.attempt > 1 || claim.checkpoint || !claim.order.spec.rerun_from.empty()};
  log::SetContext("traceID", lease_.trace_id);
  Heartbeat heartbeat(api_, clock_, claim.epoch,
                      std::chrono::seconds(std::max<int64_t>(1, claim.heartbeat_seconds)),
                      {.on_cancel = [this] { stop_.Request(StopCause::kCancelled); },
                       .on_stale = [this] { stop_.Request(StopCause::kStale); }});
  std::optional<Timer> deadline;
  if (claim.order.deadline) {
    const auto left = std::chrono::duration_cast<Duration>(*claim.order.deadline - clock_.Now());
    deadline.emplace(clock_, std::max(left, Duration(0)), [this] { stop_.Request(StopCause::kDeadline); });
  }
  auto report = WalkAndDeliver(claim, heartbeat);
  deadline.reset();  // what is done is done: telling of it may take longer
  if (!report) return GiveUp(claim.order, report.error());
  return FinishRun(std::move(*report), stop_.token());
}

Outcome<api::FinishReport> Engine::WalkAndDeliver(const api::ClaimResponse& claim, Heartbeat& heartbeat) {
  const std::stop_token stop = stop_.token();
  api::Checkpoint checkpoint = StartOf(claim);
  YBIS_TAKE(RunFolder folder, RunFolder::Create(settings_.workspace.directory, lease_, api_));
  Journal journal(folder, api_, clock_);
  YBIS_PASS(journal.Load(stop));
  journal.Info("run claimed",
               {{"run", lease_.run_id}, {"epoch", lease_.epoch}, {"next", checkpoint.next_node}});
  if (claim.decision) {
    checkpoint = ApplyDecision(claim.order, checkpoint, *claim.decision);
    journal.Info("a person has decided", {{"decision", ToString(claim.decision->decision)},
                                          {"approvers", claim.decision->approvers},
                                          {"next", checkpoint.next_node}});
    YBIS_PASS(RecordApproval(folder, checkpoint, stop));
  }
  if (claim.checkpoint) {
    known_ = ReportOf({}, checkpoint);
    YBIS_PASS(ShowCheckpoint(folder, api_, *claim.checkpoint, stop));
  }
  const bool walked = checkpoint.next_node.empty();
  if (walked && Conclude(claim.order, checkpoint).kind != Conclusion::Kind::kDeliver) {
    return Close(claim.order, checkpoint, nullptr, journal);
  }
  heartbeat.SetNode("prepare");
  YBIS_TAKE(const auto workspace,
            Workspace::Open(settings_.workspace, claim.order, claim.checkpoint, folder, stop));
  YBIS_PASS(journal.Event(
      fmt::format("worktree:{}", lease_.attempt), "GIT_WORKTREE_CREATED",
      fmt::format("worktree of {} made", workspace->tree().base_commit()),
      {{"commit", workspace->tree().base_commit()}, {"branch", workspace->tree().branch()}}, stop));
  YBIS_PASS(TellSync(workspace->sync(), workspace->tree().base_commit(), journal, stop));
  Walk walk({.order = claim.order,
             .api = api_,
             .commands = commands_,
             .clock = clock_,
             .folder = folder,
             .journal = journal,
             .tree = workspace->tree(),
             .checkout = workspace->checkout(),
             .on_node = [&](const std::string& node) { heartbeat.SetNode(node); }},
            std::move(checkpoint));
  const Outcome<void> walk_result = walk.Run(stop);
  if (walk.checkpoint().seq > 0) known_ = ReportOf({}, walk.checkpoint());
  if (!walk_result) return FaultUnexpected(walk_result.error());
  return Close(claim.order, walk.checkpoint(), &workspace->tree(), journal);
}

Outcome<api::FinishReport> Engine::Close(const api::RunOrder& order, const api::Checkpoint& checkpoint,
                                         git::Worktree* tree, Journal& journal) {
  const Conclusion conclusion = Conclude(order, checkpoint);
  api::FinishReport report = ReportOf(conclusion, checkpoint);
  if (conclusion.kind == Conclusion::Kind::kDeliver) {
    YBIS_TAKE(const Delivered delivered,
              Deliver(order, checkpoint, *tree, api_, journal, clock_, lease_.epoch, stop_.token()));
    report.result->branch = delivered.branch;
    report.result->commit = delivered.commit;
  }
  journal.Info("run ends", {{"outcome", report.outcome},
                            {"reason", report.failure ? report.failure->reason : ""},
                            {"message", report.failure ? report.failure->message : ""}});
  YBIS_PASS(journal.Flush(stop_.token()));
  return report;
}

ExitCode Engine::FinishRun(api::FinishReport report, std::stop_token stop) {
  report.epoch = lease_.epoch;
  const Status finished = api_.Finish(report, std::move(stop));
  blocked_ = finished && report.outcome == "Blocked";
  if (finished) return report.outcome == "Failed" ? ExitCode::kTaskFailed : ExitCode::kDone;
  log::Error("the finish could not be reported",
             {{"run", lease_.run_id}, {"error", finished.error().message}});
  if (finished.error().code == ErrorCode::kStale) return ExitCode::kLeaseLost;
  if (stop_.cause() == StopCause::kTerminated) return Release("terminated", ExitCode::kTerminated);
  return ExitCode::kInfrastructure;
}

ExitCode Engine::FinishFailed(const api::Failure& failure) {
  log::Error("the run failed",
             {{"run", lease_.run_id}, {"reason", failure.reason}, {"error", failure.message}});
  api::FinishReport report = known_.value_or(api::FinishReport{});
  report.outcome = "Failed";
  report.failure = failure;
  if (stop_.cause() == StopCause::kNone) return FinishRun(std::move(report), stop_.token());
  const Goodbye goodbye(clock_, settings_.goodbye_timeout);
  return FinishRun(std::move(report), goodbye.token());
}

ExitCode Engine::Release(const std::string& reason, ExitCode code, bool failed) {
  log::Warn("the run is given back", {{"run", lease_.run_id}, {"reason", reason}});
  const Goodbye goodbye(clock_, settings_.goodbye_timeout);
  const Status released =
      api_.Release({.epoch = lease_.epoch, .reason = reason, .failed = failed}, goodbye.token());
  if (!released) log::Warn("the lease could not be given back", {{"error", released.error().message}});
  return code;
}

/// A stop explains whatever failed while it was being obeyed.
ExitCode Engine::GiveUp(const api::RunOrder& order, const Fault& fault) {
  if (fault.kind == FaultKind::kStale || stop_.cause() == StopCause::kStale) {
    log::Error("the lease is lost: another runner holds this run", {{"run", lease_.run_id}});
    return ExitCode::kLeaseLost;
  }
  switch (stop_.cause()) {
    case StopCause::kTerminated:
      return Release("terminated", ExitCode::kTerminated);
    case StopCause::kCancelled:
      return Release("cancelled", ExitCode::kDone);
    case StopCause::kDeadline:
      return FinishFailed(
          {api::FailureClass::kTimeout, "DeadlineExceeded",
           "the run did not end within its time limit: raise spec.limits.timeoutSeconds or narrow the "
           "objective"});
    default:
      break;
  }
  if (fault.kind == FaultKind::kStop) return Release("cancelled", ExitCode::kDone);
  const std::string what = fmt::format("{}: {}", fault.failure.reason, fault.failure.message);
  const bool again =
      fault.kind == FaultKind::kRetry && lease_.infra_failures < order.spec.limits.max_infra_retries;
  if (again) return Release(what, ExitCode::kInfrastructure, true);
  return FinishFailed(fault.failure);
}

}  // namespace ybis::runner
