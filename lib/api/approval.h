#pragma once
// YbisApproval (ybis.dev/v1alpha1): one immutable decision by one person about one run that waits. The schema
// is crds/ybis.dev_ybisapprovals.yaml.
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "api/task.h"

namespace ybis::api {

struct ApprovalDecisionSpec {
  std::string task;            ///< taskRef.name: a YbisTask of the same namespace
  std::string run_id;          ///< the run that waits, status.run.id of the task
  std::string subject_digest;  ///< what was looked at, status.approval.subjectDigest of the task
  DecisionKind decision = DecisionKind::kApprove;
  std::string reason;    ///< needed to reject
  std::string feedback;  ///< needed to revise
  std::string approver;  ///< the maker's own user name: an admission policy sees to it
};

enum class ApprovalPhase {
  kPending,  ///< not looked at yet
  kCounted,  ///< an approval, and more are required
  kApplied,  ///< it decided
  kStale,    ///< what it is about does not wait (any more)
  kRefused,  ///< it may not be decided like this
};

struct ApprovalStatus {
  int64_t observed_generation = 0;
  ApprovalPhase phase = ApprovalPhase::kPending;
  std::string message;
  std::optional<TimePoint> observed;
  std::vector<Condition> conditions;  ///< Accepted, Stalled
};

struct Approval {
  ObjectMeta meta;
  ApprovalDecisionSpec spec;
  ApprovalStatus status;
};

std::string_view ToString(ApprovalPhase value);  ///< Pending, Counted, Applied, Stale, Refused

/// Reads a whole object as the API server gives it; problems name the field ("spec.feedback: …"). A status
/// that cannot be read counts as Pending.
Result<Approval> ParseApproval(const nlohmann::json& object);
/// Reads and checks a spec alone: the bounds of the schema hold here too.
Result<ApprovalDecisionSpec> ParseApprovalSpec(const nlohmann::json& spec, const std::string& path = "spec");
/// The spec in its CR form, empty texts left out. ParseApprovalSpec reads it back equal.
nlohmann::json ToJson(const ApprovalDecisionSpec& spec);
nlohmann::json ToJson(const ApprovalStatus& status);

}  // namespace ybis::api
