#include "control/run_ledger.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/json.h"
#include "control/approval_rules.h"
#include "control/lessons.h"
#include "control/run_state.h"
#include "control/run_state_rows.h"
#include "store/approval_store.h"
#include "store/event_store.h"
#include "store/lease_store.h"
#include "store/node_store.h"
#include "store/run_store.h"

namespace ybis::control {
namespace {

using store::InDoubt;
using store::LeaseStore;
using store::NodeStore;
using store::RunStore;
using store::Transaction;

Error Refusal(ErrorCode code, std::string message, bool retryable = false,
              std::chrono::milliseconds retry_after = {}) {
  return Error{code, std::move(message), retryable, retry_after};
}

Error NoSuchRun(const std::string& run_id) {
  return Refusal(ErrorCode::kNotFound, "there is no run " + run_id);
}

Result<api::RunOrder> ReadOrder(const std::string& run_id, const store::ClaimedRow& row) {
  api::RunOrder order;
  order.run_id = run_id;
  order.run_number = row.number;
  order.task_namespace = row.task.namespace_name;
  order.task_name = row.task.name;
  order.task_uid = row.task.uid;
  order.trace_id = row.trace_id;
  order.deadline = row.deadline;
  YBIS_ASSIGN(order.spec, api::ParseTaskSpec(*row.order.spec));
  const auto& workflow = *row.order.workflow;
  YBIS_ASSIGN(order.workflow,
              api::ParseWorkflowSpec(workflow.at("spec"), workflow.at("name").get<std::string>()));
  YBIS_ASSIGN(order.policy, api::ParseRunPolicy(*row.order.policy));
  return order;
}

size_t SizeOf(const std::shared_ptr<const nlohmann::json>& document) {
  return document ? DumpJson(*document).size() : 0;
}

Status CheckReport(const api::NodeReport& report, const LedgerSettings& settings) {
  if (report.outcome != "ok" && report.outcome != "error") {
    return Fail(ErrorCode::kInvalid, "outcome: must be ok or error");
  }
  if (report.seq < 1 || report.checkpoint.seq != report.seq) {
    return Fail(ErrorCode::kInvalid, "checkpoint.seq: must be the node's seq, from 1");
  }
  // Each is one more than the one before: how many there are.
  if (report.seq > static_cast<int64_t>(settings.max_nodes)) {
    return Fail(Refusal(ErrorCode::kExhausted, fmt::format("node {}: the run has {} nodes, the most allowed",
                                                           report.node, settings.max_nodes)));
  }
  const size_t bytes = report.checkpoint.patch.size() + SizeOf(report.checkpoint.state) +
                       SizeOf(report.input) + SizeOf(report.output);
  if (bytes > settings.max_checkpoint_bytes) {
    return Fail(ErrorCode::kTooLarge,
                fmt::format("the report of node {} has {} bytes, more than the {} allowed", report.node,
                            bytes, settings.max_checkpoint_bytes));
  }
  return {};
}

store::NodeRow NodeRowOf(const api::NodeReport& report) {
  store::NodeRow row;
  row.epoch = report.epoch;
  row.node = report.node;
  row.type = report.type;
  row.visit = report.visit;
  row.outcome = report.outcome;
  row.error = Cleaned(report.error, 16 * 1024);
  if (report.outcome == "error") row.failure = ErrorRowOf("Node", row.type, row.error);
  row.started = report.started;
  row.finished = report.finished;
  row.input = report.input;
  row.output = report.output;
  row.checkpoint = {report.seq,
                    report.checkpoint.next_node,
                    std::make_shared<const nlohmann::json>(report.checkpoint.visits),
                    report.checkpoint.state,
                    report.checkpoint.base_commit,
                    report.checkpoint.patch};
  return row;
}

Result<store::RunEnd> EndOf(const api::FinishReport& report) {
  store::RunEnd end;
  if (report.outcome == "Completed") {
    end.event = "RUN_COMPLETED";
  } else if (report.outcome == "Blocked") {
    // What blocks it is told the same way as what failed.
    if (report.failure) end = FailedEnd(*report.failure);
    end.event = "RUN_BLOCKED";
  } else if (report.outcome == "Failed") {
    end = FailedEnd(report.failure.value_or(
        api::Failure{api::FailureClass::kAgent, "Unspecified", "the runner gave no reason"}));
  } else {
    return Fail(ErrorCode::kInvalid, "outcome: must be Completed, Failed or Blocked");
  }
  end.state = report.outcome;
  if (report.outcome != "Failed") end.error.reset();
  if (report.result) end.result = std::make_shared<const nlohmann::json>(api::ToJson(*report.result));
  if (report.verification) {
    end.verification = std::make_shared<const nlohmann::json>(api::ToJson(*report.verification));
  }
  end.subject_digest = report.subject_digest;
  return end;
}

}  // namespace

RunLedger::RunLedger(store::Pool& pool, LedgerSettings settings) : pool_(pool), settings_(settings) {}

Result<api::ClaimResponse> RunLedger::Claim(const std::string& run_id, const std::string& holder,
                                            const api::ClaimRequest& request, std::stop_token stop) {
  const std::string name = Cleaned(holder.empty() ? request.host : holder, 256);
  const auto work = [&](Transaction& tx) { return LeaseStore(tx).Claim(run_id, name, settings_.lease); };
  // Claimed twice when in doubt: the second claim is by the same holder and only moves the epoch on.
  YBIS_ASSIGN(auto claim, pool_.Single(work, stop, InDoubt::kRepeat));
  if (!claim) return Fail(WhyNoClaim(run_id, stop));
  if (claim->seq != (claim->checkpoint ? claim->checkpoint->seq : 0)) {
    const auto read = [&](Transaction& tx) { return NodeStore(tx).NewestCheckpoint(run_id); };
    YBIS_ASSIGN(claim->checkpoint, pool_.Single(read, stop, InDoubt::kRepeat));
  }
  NotifyTasks(pool_, {claim->task.namespace_name + "/" + claim->task.name}, stop);
  api::ClaimResponse response;
  response.epoch = claim->epoch;
  response.attempt = claim->attempt;
  response.infra_failures = claim->infra;
  response.lease_seconds = settings_.lease.count();
  response.heartbeat_seconds = settings_.heartbeat.count();
  YBIS_ASSIGN(response.order, ReadOrder(run_id, *claim));
  if (claim->checkpoint) {
    YBIS_ASSIGN(response.checkpoint, ToCheckpoint(*claim->checkpoint));
  }
  // A run that waited has been claimed before.
  if (response.checkpoint && response.attempt > 1) {
    const auto read = [&](Transaction& tx) {
      return store::ApprovalStore(tx).DecisionsOf(run_id, response.checkpoint->seq);
    };
    YBIS_ASSIGN(const auto decisions, pool_.Single(read, stop, InDoubt::kRepeat));
    response.decision = DecisionOf(decisions);
  }
  return response;
}

Error RunLedger::WhyNoClaim(const std::string& run_id, std::stop_token stop) {
  const auto view =
      pool_.Single([&](Transaction& tx) { return LeaseStore(tx).View(run_id); }, stop, InDoubt::kRepeat);
  if (!view) return view.error();
  if (!*view) return NoSuchRun(run_id);
  const store::LeaseView& lease = **view;
  const std::string run = "run " + run_id;
  if (lease.cancel) return Refusal(ErrorCode::kCancelled, run + " is cancelled");
  const auto state = ParseRunState(lease.state);
  if (state && IsTerminal(*state)) return Refusal(ErrorCode::kGone, run + " is over: " + lease.state);
  if (lease.late) return Refusal(ErrorCode::kTimeout, run + " is past its deadline");
  if (lease.exhausted) return Refusal(ErrorCode::kGone, run + " has used up its infrastructure retries");
  if (!lease.held) {
    return Refusal(ErrorCode::kConflict, run + " may not start yet, it is " + lease.state, true,
                   std::chrono::seconds(5));
  }
  return Refusal(ErrorCode::kConflict, run + " is leased to another runner", true,
                 std::max(lease.remaining, std::chrono::milliseconds(100)));
}

Error RunLedger::WhyFenced(const std::string& run_id, std::stop_token stop) {
  const auto view =
      pool_.Single([&](Transaction& tx) { return LeaseStore(tx).View(run_id); }, stop, InDoubt::kRepeat);
  if (!view) return view.error();
  if (!*view) return NoSuchRun(run_id);
  return Refusal(ErrorCode::kStale,
                 fmt::format("run {} is not leased under this epoch any more: it is {} at epoch {}; stop",
                             run_id, (*view)->state, (*view)->run_epoch));
}

Status RunLedger::TellTask(const std::string& run_id, std::stop_token stop) {
  YBIS_ASSIGN(const auto run, pool_.Single([&](Transaction& tx) { return RunStore(tx).Find(run_id); }, stop,
                                           InDoubt::kRepeat));
  if (run) NotifyTasks(pool_, {run->namespace_name + "/" + run->task_name}, stop);
  return {};
}

Result<api::HeartbeatResponse> RunLedger::Heartbeat(const std::string& run_id,
                                                    const api::HeartbeatRequest& request,
                                                    std::stop_token stop) {
  const auto work = [&](Transaction& tx) {
    return LeaseStore(tx).Renew(run_id, request.epoch, request.node, settings_.lease);
  };
  YBIS_ASSIGN(const auto cancel, pool_.Single(work, stop, InDoubt::kRepeat));
  if (!cancel) return Fail(WhyFenced(run_id, stop));
  return api::HeartbeatResponse{*cancel};
}

Status RunLedger::ReportNode(const std::string& run_id, const api::NodeReport& report, std::stop_token stop) {
  YBIS_TRY(CheckReport(report, settings_));
  const store::NodeRow row = NodeRowOf(report);
  const auto work = [&](Transaction& tx) { return NodeStore(tx).Append(run_id, row, settings_.lease); };
  const auto learn = [&](Transaction& tx) -> Result<bool> {
    YBIS_ASSIGN(const bool appended, work(tx));
    if (appended) YBIS_TRY(RecordLesson(tx, run_id, report));
    return appended;
  };
  YBIS_ASSIGN(const bool recorded, MayTeach(report) ? pool_.Transact(learn, stop, InDoubt::kRepeat)
                                                    : pool_.Single(work, stop, InDoubt::kRepeat));
  if (recorded) return {};
  YBIS_ASSIGN(const auto view, pool_.Single([&](Transaction& tx) { return LeaseStore(tx).View(run_id); },
                                            stop, InDoubt::kRepeat));
  if (!view) return Fail(NoSuchRun(run_id));
  if (!view->held || view->epoch != report.epoch) return Fail(WhyFenced(run_id, stop));
  if (report.seq <= view->seq) return {};
  return Fail(Refusal(ErrorCode::kConflict,
                      fmt::format("run {}: node seq {} does not follow {}", run_id, report.seq, view->seq)));
}

Status RunLedger::RecordEvent(const std::string& run_id, const api::EventReport& report,
                              std::stop_token stop) {
  constexpr size_t kMaxFields = 64 * 1024;
  if (report.key.empty() || report.key.size() > 256 || report.type.empty() || report.type.size() > 128) {
    return Fail(ErrorCode::kInvalid, "key and type: must have 1 to 256 and 1 to 128 bytes");
  }
  if (SizeOf(report.fields) > kMaxFields) return Fail(ErrorCode::kTooLarge, "fields: more than 64 KiB");
  const store::EventRow event{0,
                              run_id,
                              "runner:" + Cleaned(report.key, 256),
                              Cleaned(report.type, 128),
                              Cleaned(report.message, 4096),
                              report.fields,
                              report.time};
  const auto work = [&](Transaction& tx) {
    return store::EventStore(tx).AppendByHolder(event, report.epoch,
                                                static_cast<int64_t>(settings_.max_events));
  };
  YBIS_ASSIGN(const bool recorded, pool_.Single(work, stop, InDoubt::kRepeat));
  if (recorded) return {};
  YBIS_ASSIGN(const auto view, pool_.Single([&](Transaction& tx) { return LeaseStore(tx).View(run_id); },
                                            stop, InDoubt::kRepeat));
  if (view && view->held && view->epoch == report.epoch) {
    return Fail(Refusal(ErrorCode::kExhausted, fmt::format("run {} has {} journal entries, the most allowed",
                                                           run_id, view->events)));
  }
  return Fail(WhyFenced(run_id, stop));
}

/// How long a blocked run waits, and for how many.
Result<store::NewWait> RunLedger::WaitFor(const std::string& run_id, const api::FinishReport& report,
                                          std::stop_token stop) {
  if (report.subject_digest.empty() || report.subject_digest.size() > 128) {
    return Fail(ErrorCode::kInvalid, "subjectDigest: outcome Blocked needs one, of at most 128 bytes");
  }
  YBIS_ASSIGN(const api::TaskSpec spec, RunSpec(run_id, std::move(stop)));
  return store::NewWait{Cleaned(report.wait_node, 128), spec.approval.ttl_seconds, spec.approval.required,
                        spec.approval.reminder_seconds};
}

Status RunLedger::Finish(const std::string& run_id, const api::FinishReport& report, std::stop_token stop) {
  YBIS_ASSIGN(const auto end, EndOf(report));
  std::optional<store::NewWait> wait;
  if (report.outcome == "Blocked") {
    YBIS_ASSIGN(wait, WaitFor(run_id, report, stop));
  }
  const auto work = [&](Transaction& tx) {
    RunStore runs(tx);
    return wait ? runs.BlockByHolder(run_id, report.epoch, end, *wait)
                : runs.EndByHolder(run_id, report.epoch, end);
  };
  YBIS_ASSIGN(const auto ended, pool_.Single(work, stop, InDoubt::kRepeat));
  if (ended) {
    NotifyTasks(pool_, {*ended}, stop);
    return {};
  }
  YBIS_ASSIGN(const auto view, pool_.Single([&](Transaction& tx) { return LeaseStore(tx).View(run_id); },
                                            stop, InDoubt::kRepeat));
  const bool repeat = view && !view->held && view->run_epoch == report.epoch &&
                      (view->state == report.outcome || view->cancel);
  if (!repeat) return Fail(WhyFenced(run_id, stop));
  return TellTask(run_id, stop);
}

Status RunLedger::Release(const std::string& run_id, const api::ReleaseReport& report, std::stop_token stop) {
  const std::string reason = Cleaned(report.reason, 1024);
  const auto work = [&](Transaction& tx) {
    return LeaseStore(tx).Release(run_id, report.epoch, reason, report.failed);
  };
  YBIS_ASSIGN(const auto released, pool_.Single(work, stop, InDoubt::kRepeat));
  if (released) {
    NotifyTasks(pool_, {*released}, stop);
    return {};
  }
  YBIS_ASSIGN(const auto view, pool_.Single([&](Transaction& tx) { return LeaseStore(tx).View(run_id); },
                                            stop, InDoubt::kRepeat));
  if (!view) return Fail(NoSuchRun(run_id));
  const bool own = view->held && view->epoch == report.epoch;
  if (own && view->cancel) {
    const auto cancel = [&](Transaction& tx) {
      return RunStore(tx).EndByHolder(run_id, report.epoch, CancelledEnd("the task was cancelled"));
    };
    YBIS_TRY(pool_.Single(cancel, stop, InDoubt::kRepeat));
    return TellTask(run_id, stop);
  }
  const bool repeat = view->run_epoch == report.epoch + 1 && view->state == ToString(RunState::kDispatched);
  const bool repeat_of_cancel = !view->held && view->cancel && view->run_epoch == report.epoch;
  if (repeat || repeat_of_cancel) return TellTask(run_id, stop);
  return Fail(WhyFenced(run_id, stop));
}

Result<RunRecord> RunLedger::GetRun(const std::string& run_id, std::stop_token stop) {
  YBIS_ASSIGN(const auto row, pool_.Single([&](Transaction& tx) { return RunStore(tx).Find(run_id); }, stop,
                                           InDoubt::kRepeat));
  if (!row) return Fail(NoSuchRun(run_id));
  return ToRecord(*row);
}

Result<std::string> RunLedger::RunTaskNamespace(const std::string& run_id, std::stop_token stop) {
  YBIS_ASSIGN(const auto row, pool_.Single([&](Transaction& tx) { return RunStore(tx).Find(run_id); }, stop,
                                           InDoubt::kRepeat));
  if (!row) return Fail(NoSuchRun(run_id));
  return row->namespace_name;
}

Result<api::TaskSpec> RunLedger::RunSpec(const std::string& run_id, std::stop_token stop) {
  YBIS_ASSIGN(const auto row, pool_.Single([&](Transaction& tx) { return RunStore(tx).Order(run_id); }, stop,
                                           InDoubt::kRepeat));
  if (!row) return Fail(NoSuchRun(run_id));
  return api::ParseTaskSpec(*row->spec);
}

Result<std::string> RunLedger::RunTrace(const std::string& run_id, std::stop_token stop) {
  return pool_.Single([&](Transaction& tx) { return RunStore(tx).TraceId(run_id); }, stop, InDoubt::kRepeat);
}

Result<api::RunPolicy> RunLedger::RunPolicy(const std::string& run_id, std::stop_token stop) {
  YBIS_ASSIGN(const auto row, pool_.Single([&](Transaction& tx) { return RunStore(tx).Order(run_id); }, stop,
                                           InDoubt::kRepeat));
  if (!row) return Fail(NoSuchRun(run_id));
  return api::ParseRunPolicy(*row->policy);
}

}  // namespace ybis::control
