#include "control/approvals.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "control/approval_rules.h"
#include "control/metrics.h"
#include "control/run_state.h"
#include "control/run_state_rows.h"
#include "control/task_queue_admission.h"
#include "store/event_store.h"
#include "store/queue_store.h"
#include "store/run_store.h"
#include "workflow/graph.h"

namespace ybis::control {
namespace {

using api::DecisionKind;
using store::ApprovalStore;
using store::InDoubt;
using store::RunStore;
using store::Transaction;
using store::WaitRow;

constexpr int64_t kBatch = 100;

/// What a decision needs beyond the result that callers get.
struct Decided {
  ApprovalResult result;
  double waited_seconds = 0;
};

ApprovalRequest CleanedRequest(const ApprovalRequest& request) {
  constexpr size_t kWhole = SIZE_MAX;
  return {Cleaned(request.key, kWhole),
          Cleaned(request.run_id, kWhole),
          Cleaned(request.subject_digest, kWhole),
          request.decision,
          Cleaned(request.reason, kWhole),
          Cleaned(request.feedback, kWhole),
          Cleaned(request.approver, kWhole),
          Cleaned(request.task_uid, kWhole)};
}

Wait ToWait(const WaitRow& row) {
  return {row.run_id, row.namespace_name, row.task_name, row.task_uid,      row.subject_digest, row.node,
          row.seq,    row.since,          row.expires,   row.next_reminder, row.required,       row.approvers,
          row.reason, row.message,        row.expired};
}

std::vector<Wait> ToWaits(const std::vector<WaitRow>& rows) {
  std::vector<Wait> waits;
  for (const WaitRow& row : rows) waits.push_back(ToWait(row));
  return waits;
}

std::string_view EventOf(const ApprovalRequest& request, ApprovalVerdict verdict) {
  if (verdict == ApprovalVerdict::kStale) return "APPROVAL_STALE";
  if (verdict == ApprovalVerdict::kDuplicate || verdict == ApprovalVerdict::kRefused)
    return "APPROVAL_REFUSED";
  switch (request.decision) {
    case DecisionKind::kApprove:
      return "APPROVAL_GRANTED";
    case DecisionKind::kReject:
      return "APPROVAL_REJECTED";
    case DecisionKind::kRevise:
      return "REVISION_REQUESTED";
  }
  return "APPROVAL_REFUSED";
}

std::shared_ptr<const nlohmann::json> FieldsOf(const ApprovalRequest& request, const ApprovalResult& result) {
  return std::make_shared<const nlohmann::json>(nlohmann::json{{"approver", request.approver},
                                                               {"decision", ToString(request.decision)},
                                                               {"verdict", ToString(result.verdict)},
                                                               {"reason", request.reason},
                                                               {"subjectDigest", request.subject_digest},
                                                               {"approvals", result.approvals},
                                                               {"required", result.required}});
}

store::ApprovalRow AuditRow(const ApprovalRequest& request, const ApprovalResult& result, int64_t seq) {
  return {request.key,
          request.run_id,
          seq,
          request.subject_digest,
          std::string(ToString(request.decision)),
          request.reason,
          request.feedback,
          request.approver,
          std::string(ToString(result.verdict)),
          result.message,
          result.approvals,
          result.required,
          {}};
}

/// A key that is on record already: what came of it then.
Result<ApprovalResult> Repeated(const ApprovalRequest& request, const store::ApprovalRow& row,
                                const std::string& task_key) {
  if (row.run_id != request.run_id || row.subject_digest != request.subject_digest ||
      row.decision != ToString(request.decision) || row.approver != request.approver) {
    return Fail(ErrorCode::kConflict, fmt::format("key {} was used for another decision", request.key));
  }
  const auto verdict = ParseVerdict(row.verdict);
  if (!verdict) return Fail(ErrorCode::kInternal, fmt::format("'{}' is no verdict", row.verdict));
  return ApprovalResult{*verdict, row.message, row.approvals, row.required, task_key, true};
}

struct Order {
  api::TaskSpec spec;
  api::WorkflowSpec workflow;
};

Result<Order> ReadOrder(Transaction& tx, const std::string& run_id) {
  YBIS_ASSIGN(const auto row, RunStore(tx).Order(run_id));
  if (!row) return Fail(ErrorCode::kInternal, "run " + run_id + " has no order");
  Order order;
  YBIS_ASSIGN(order.spec, api::ParseTaskSpec(*row->spec));
  YBIS_ASSIGN(order.workflow, api::ParseWorkflowSpec(row->workflow->at("spec"),
                                                     row->workflow->at("name").get<std::string>()));
  return order;
}

Status Resume(Transaction& tx, const ApprovalRequest& request, const store::LockedRun& run,
              const Order& order) {
  YBIS_TRY(Transition(RunState::kBlocked, RunEvent::kResume));
  YBIS_TRY(ApprovalStore(tx).Resume(request.run_id));
  return store::QueueStore(tx).Enqueue(request.run_id, static_cast<int>(order.spec.priority),
                                       run.namespace_name, LaneOf(order.spec));
}

Status Apply(Transaction& tx, const ApprovalRequest& request, const store::LockedRun& run, const Order& order,
             const ApprovalResult& result) {
  if (result.verdict != ApprovalVerdict::kDecided) return {};
  if (request.decision != DecisionKind::kReject) return Resume(tx, request, run, order);
  YBIS_TRY(Transition(RunState::kBlocked, RunEvent::kFail));
  YBIS_TRY(RunStore(tx).End(request.run_id,
                            FailedEnd({api::FailureClass::kRejected, "Rejected", result.message})));
  return {};
}

/// One decision under the locks of admission (for whoever may queue a run) and of the run's row.
Result<Decided> DecideIn(Transaction& tx, const ApprovalRequest& request) {
  ApprovalStore approvals(tx);
  if (request.decision != DecisionKind::kReject) YBIS_TRY(store::QueueStore(tx).Lock());
  YBIS_ASSIGN(const auto run, approvals.Lock(request.run_id));
  if (!run) return Fail(ErrorCode::kNotFound, "there is no run " + request.run_id);
  if (!request.task_uid.empty() && request.task_uid != run->task_uid)
    return Fail(ErrorCode::kNotFound, fmt::format("run {} is another task's", request.run_id));
  const std::string task_key = run->namespace_name + "/" + run->task_name;
  YBIS_ASSIGN(const auto known, approvals.FindDecision(request.key));
  if (known) {
    YBIS_ASSIGN(auto repeated, Repeated(request, *known, task_key));
    return Decided{std::move(repeated), 0};
  }
  YBIS_ASSIGN(const auto order, ReadOrder(tx, request.run_id));
  ApprovalFacts facts{run->state, run->cancel_requested, {}, order.workflow.name, false};
  YBIS_ASSIGN(facts.wait, approvals.FindWait(request.run_id));
  if (facts.wait) facts.can_repair = workflow::RepairNodeFor(order.workflow, facts.wait->node) != nullptr;
  Decided out{JudgeDecision(request, facts), facts.wait ? facts.wait->waited_seconds : 0};
  out.result.task_key = task_key;
  YBIS_ASSIGN(const bool added,
              approvals.AddDecision(AuditRow(request, out.result, facts.wait ? facts.wait->seq : 0)));
  if (!added)
    return Fail(ErrorCode::kConflict, fmt::format("key {} was used for another decision", request.key));
  const store::EventRow event{0,
                              request.run_id,
                              "approval:" + request.key,
                              std::string(EventOf(request, out.result.verdict)),
                              Cleaned(out.result.message, 4096),
                              FieldsOf(request, out.result),
                              {}};
  YBIS_TRY(store::EventStore(tx).Append(event));
  YBIS_TRY(Apply(tx, request, *run, order, out.result));
  return out;
}

Status ExpireIn(Transaction& tx, const WaitRow& wait) {
  const std::string message = fmt::format(
      "nobody decided until {} ({} of {} approvals): raise spec.approval.ttlSeconds or ask sooner",
      FormatRfc3339(wait.expires), wait.approvers.size(), wait.required);
  YBIS_TRY(Transition(RunState::kBlocked, RunEvent::kFail));
  YBIS_TRY(store::EventStore(tx).Append(
      {0, wait.run_id, "expired:" + wait.subject_digest, "APPROVAL_EXPIRED", message, nullptr, {}}));
  YBIS_TRY(
      RunStore(tx).End(wait.run_id, FailedEnd({api::FailureClass::kExpired, "ApprovalExpired", message})));
  return {};
}

Status RemindIn(Transaction& tx, const WaitRow& wait) {
  YBIS_ASSIGN(const TimePoint due, ApprovalStore(tx).Remind(wait.run_id));
  const std::string message = fmt::format("waits at {} since {}: {} of {} approvals; expires at {}",
                                          wait.node, FormatRfc3339(wait.since), wait.approvers.size(),
                                          wait.required, FormatRfc3339(wait.expires));
  YBIS_TRY(store::EventStore(tx).Append(
      {0,
       wait.run_id,
       fmt::format("reminder:{}:{}", wait.subject_digest, FormatRfc3339Micro(due)),
       "APPROVAL_REMINDER",
       message,
       nullptr,
       {}}));
  return {};
}

struct SweptRows {
  std::vector<store::RunRow> expired;
  std::vector<WaitRow> expired_waits;
  std::vector<WaitRow> reminders;
  size_t seen = 0;
};

Result<SweptRows> SweepIn(Transaction& tx) {
  ApprovalStore approvals(tx);
  SweptRows out;
  YBIS_ASSIGN(const auto due, approvals.Due(kBatch));
  std::vector<std::string> expired;
  for (const store::DueWait& row : due) {
    ++out.seen;
    YBIS_ASSIGN(auto wait, approvals.FindWait(row.run_id));
    if (!wait) continue;
    if (row.expired) {
      YBIS_TRY(ExpireIn(tx, *wait));
      expired.push_back(row.run_id);
      out.expired_waits.push_back(std::move(*wait));
    } else {
      YBIS_TRY(RemindIn(tx, *wait));
      out.reminders.push_back(std::move(*wait));
    }
  }
  YBIS_ASSIGN(out.expired, RunStore(tx).FindAll(expired));
  return out;
}

}  // namespace

api::AwaitedDecision AwaitedBy(const Wait& wait) {
  return {wait.subject_digest, wait.node, wait.required, wait.approvers, wait.since, wait.expires};
}

Result<ApprovalResult> Approvals::Decide(const ApprovalRequest& request, std::stop_token stop) {
  const ApprovalRequest cleaned = CleanedRequest(request);
  YBIS_TRY(CheckRequest(cleaned));
  const auto work = [&](Transaction& tx) { return DecideIn(tx, cleaned); };
  YBIS_ASSIGN(auto decided, pool_.Transact(work, stop, InDoubt::kRepeat));
  const bool ended = decided.result.verdict == ApprovalVerdict::kDecided;
  // A repeat tells again: whoever decided may have been killed before it told.
  NotifyTasks(pool_, {decided.result.task_key}, stop);
  if (metrics_ != nullptr && ended && !decided.result.repeated)
    metrics_->ApprovalEnded(ToString(cleaned.decision), Seconds(decided.waited_seconds));
  return std::move(decided.result);
}

Result<bool> Approvals::Known(const std::string& key, std::stop_token stop) {
  const auto work = [&](Transaction& tx) { return ApprovalStore(tx).FindDecision(key); };
  YBIS_ASSIGN(const auto row, pool_.Single(work, std::move(stop), InDoubt::kRepeat));
  return row.has_value();
}

Result<std::optional<Wait>> Approvals::WaitOf(const std::string& run_id, std::stop_token stop) {
  const auto work = [&](Transaction& tx) { return ApprovalStore(tx).FindWait(run_id); };
  YBIS_ASSIGN(const auto row, pool_.Single(work, std::move(stop), InDoubt::kRepeat));
  if (!row) return std::nullopt;
  return ToWait(*row);
}

Result<std::vector<Wait>> Approvals::Waiting(int64_t limit, std::stop_token stop) {
  const auto work = [&](Transaction& tx) { return ApprovalStore(tx).Waits(limit); };
  YBIS_ASSIGN(const auto rows, pool_.Single(work, std::move(stop), InDoubt::kRepeat));
  return ToWaits(rows);
}

Result<int64_t> Approvals::WaitingCount(std::stop_token stop) {
  return pool_.Single([](Transaction& tx) { return ApprovalStore(tx).CountWaits(); }, std::move(stop),
                      InDoubt::kRepeat);
}

Result<std::vector<ApprovalEntry>> Approvals::Audit(const std::string& run_id, std::stop_token stop) {
  const auto work = [&](Transaction& tx) { return ApprovalStore(tx).Decisions(run_id); };
  YBIS_ASSIGN(const auto rows, pool_.Single(work, std::move(stop), InDoubt::kRepeat));
  std::vector<ApprovalEntry> out;
  for (const store::ApprovalRow& row : rows) {
    YBIS_ASSIGN(const DecisionKind decision, api::ParseDecisionKind(row.decision));
    const auto verdict = ParseVerdict(row.verdict);
    if (!verdict) return Fail(ErrorCode::kInternal, fmt::format("'{}' is no verdict", row.verdict));
    out.push_back({row.key, row.run_id, row.subject_digest, decision, row.reason, row.feedback, row.approver,
                   *verdict, row.message, row.created});
  }
  return out;
}

Result<ApprovalSweep> Approvals::Sweep(std::stop_token stop) {
  ApprovalSweep out;
  for (;;) {
    YBIS_ASSIGN(const auto swept, pool_.Transact(SweepIn, stop, InDoubt::kRepeat));
    YBIS_ASSIGN(auto runs, ToRecords(swept.expired));
    std::vector<std::string> keys;
    for (const WaitRow& wait : swept.expired_waits) {
      keys.push_back(wait.namespace_name + "/" + wait.task_name);
      if (metrics_ != nullptr) metrics_->ApprovalEnded("Expired", Seconds(wait.waited_seconds));
    }
    NotifyTasks(pool_, keys, stop);
    std::move(runs.begin(), runs.end(), std::back_inserter(out.expired));
    for (const WaitRow& wait : swept.reminders) out.reminders.push_back(ToWait(wait));
    if (swept.seen < static_cast<size_t>(kBatch)) break;
  }
  if (metrics_ != nullptr) {
    YBIS_ASSIGN(const int64_t waiting, WaitingCount(stop));
    metrics_->SetWaitingRuns(waiting);
  }
  return out;
}

}  // namespace ybis::control
