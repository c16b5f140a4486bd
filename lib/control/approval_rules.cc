#include "control/approval_rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "control/run_record.h"

namespace ybis::control {
namespace {

using api::DecisionKind;

constexpr size_t kMaxName = 256;
constexpr size_t kMaxApprover = 4 * 512;  // 512 characters: a service account's name alone may have 339
constexpr size_t kMaxReason = 4096;
constexpr size_t kMaxFeedback = 32 * 1024;

Status CheckText(std::string_view field, const std::string& text, size_t min, size_t max) {
  if (text.size() >= min && text.size() <= max) return {};
  return Fail(ErrorCode::kInvalid, fmt::format("{}: must have {} to {} bytes", field, min, max));
}

/// Why the decision is not about what waits now; empty when it is.
std::string WhyStale(const ApprovalRequest& request, const ApprovalFacts& facts) {
  if (facts.cancel_requested)
    return fmt::format("run {} is being cancelled: nothing was decided", request.run_id);
  if (facts.run_state != ToString(RunState::kBlocked) || !facts.wait) {
    return fmt::format("run {} is {} and waits for nobody: nothing was decided", request.run_id,
                       facts.run_state);
  }
  if (facts.wait->subject_digest != request.subject_digest) {
    return fmt::format(
        "the decision is about {}, but run {} now waits with {}: nothing was decided; look at it again",
        request.subject_digest, request.run_id, facts.wait->subject_digest);
  }
  if (facts.wait->expired) {
    return fmt::format("the time to decide about run {} ended at {}: nothing was decided", request.run_id,
                       FormatRfc3339(facts.wait->expires));
  }
  return {};
}

std::string WhyRefused(const ApprovalRequest& request, const ApprovalFacts& facts) {
  if (request.decision == DecisionKind::kReject && request.reason.empty())
    return "a rejection needs a reason: nothing was decided";
  if (request.decision != DecisionKind::kRevise) return {};
  if (request.feedback.empty())
    return "a revision needs feedback that says what to change: nothing was decided";
  if (facts.can_repair) return {};
  return fmt::format(
      "workflow {} has no repair node that can be reached from {}, so there is nowhere to revise: nothing "
      "was "
      "decided; approve or reject",
      facts.workflow, facts.wait->node);
}

void JudgeApproval(const ApprovalRequest& request, const store::WaitRow& wait, ApprovalResult& out) {
  const auto& so_far = wait.approvers;
  const bool again = std::find(so_far.begin(), so_far.end(), request.approver) != so_far.end();
  if (again) {
    out.verdict = ApprovalVerdict::kDuplicate;
    out.message = fmt::format("{} has approved this already ({} of {}): another person must approve",
                              request.approver, out.approvals, out.required);
    return;
  }
  ++out.approvals;
  if (out.approvals < out.required) {
    out.verdict = ApprovalVerdict::kCounted;
    out.message = fmt::format("approved by {} ({} of {}): the run waits for {} more", request.approver,
                              out.approvals, out.required, out.required - out.approvals);
    return;
  }
  out.verdict = ApprovalVerdict::kDecided;
  out.message = fmt::format("approved by {} ({} of {}): the run goes on", request.approver, out.approvals,
                            out.required);
}

}  // namespace

std::string_view ToString(ApprovalVerdict verdict) {
  switch (verdict) {
    case ApprovalVerdict::kDecided:
      return "Decided";
    case ApprovalVerdict::kCounted:
      return "Counted";
    case ApprovalVerdict::kStale:
      return "Stale";
    case ApprovalVerdict::kDuplicate:
      return "Duplicate";
    case ApprovalVerdict::kRefused:
      return "Refused";
  }
  return "Refused";
}

std::optional<ApprovalVerdict> ParseVerdict(std::string_view name) {
  for (const ApprovalVerdict verdict :
       {ApprovalVerdict::kDecided, ApprovalVerdict::kCounted, ApprovalVerdict::kStale,
        ApprovalVerdict::kDuplicate, ApprovalVerdict::kRefused}) {
    if (ToString(verdict) == name) return verdict;
  }
  return std::nullopt;
}

Status CheckRequest(const ApprovalRequest& request) {
  YBIS_TRY(CheckText("key", request.key, 1, kMaxName));
  YBIS_TRY(CheckText("runID", request.run_id, 1, kMaxName));
  YBIS_TRY(CheckText("subjectDigest", request.subject_digest, 1, kMaxName));
  YBIS_TRY(CheckText("approver", request.approver, 1, kMaxApprover));
  YBIS_TRY(CheckText("reason", request.reason, 0, kMaxReason));
  return CheckText("feedback", request.feedback, 0, kMaxFeedback);
}

ApprovalResult JudgeDecision(const ApprovalRequest& request, const ApprovalFacts& facts) {
  ApprovalResult out;
  if (facts.wait) {
    out.approvals = static_cast<int64_t>(facts.wait->approvers.size());
    out.required = facts.wait->required;
  }
  if (out.message = WhyStale(request, facts); !out.message.empty()) return out;
  out.verdict = ApprovalVerdict::kRefused;
  if (out.message = WhyRefused(request, facts); !out.message.empty()) return out;
  if (request.decision == DecisionKind::kApprove) {
    JudgeApproval(request, *facts.wait, out);
    return out;
  }
  out.verdict = ApprovalVerdict::kDecided;
  out.message =
      request.decision == DecisionKind::kReject
          ? fmt::format("rejected by {}: {}", request.approver, request.reason)
          : fmt::format("revision asked for by {}: the run goes on at its repair", request.approver);
  return out;
}

std::optional<api::ApprovalDecision> DecisionOf(const std::vector<store::ApprovalRow>& rows) {
  const auto last = std::find_if(rows.rbegin(), rows.rend(), [](const store::ApprovalRow& row) {
    return row.verdict == ToString(ApprovalVerdict::kDecided);
  });
  if (last == rows.rend()) return std::nullopt;
  const auto kind = api::ParseDecisionKind(last->decision);
  if (!kind || *kind == DecisionKind::kReject) return std::nullopt;
  api::ApprovalDecision out{.decision = *kind,
                            .reason = last->reason,
                            .feedback = last->feedback,
                            .subject_digest = last->subject_digest,
                            .seq = last->seq,
                            .decided = last->created};
  for (const store::ApprovalRow& row : rows) {
    if (row.decision == last->decision && row.subject_digest == last->subject_digest)
      out.approvers.push_back(row.approver);
  }
  return out;
}

}  // namespace ybis::control
