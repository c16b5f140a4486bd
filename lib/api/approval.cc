#include "api/approval.h"

#include <nlohmann/json.hpp>

#include "base/json.h"

namespace ybis::api {
namespace {

using nlohmann::json;

constexpr std::pair<ApprovalPhase, std::string_view> kPhases[] = {{ApprovalPhase::kPending, "Pending"},
                                                                  {ApprovalPhase::kCounted, "Counted"},
                                                                  {ApprovalPhase::kApplied, "Applied"},
                                                                  {ApprovalPhase::kStale, "Stale"},
                                                                  {ApprovalPhase::kRefused, "Refused"}};

ApprovalPhase PhaseFromName(const std::string& name) {
  for (const auto& [phase, text] : kPhases) {
    if (text == name) return phase;
  }
  return ApprovalPhase::kPending;
}

/// The schema counts characters; a character has at most four bytes.
std::string Bounded(ObjectReader& reader, std::string_view key, std::string value, size_t max) {
  if (value.size() > max * 4)
    reader.Problem(fmt::format("{}: may be at most {} characters long", reader.PathOf(key), max));
  if (value.find('\0') != std::string::npos)
    reader.Problem(fmt::format("{}: a NUL character is not allowed", reader.PathOf(key)));
  return value;
}

std::string Required(ObjectReader& reader, std::string_view key, size_t max) {
  return Bounded(reader, key, reader.RequiredString(key), max);
}

std::string Optional(ObjectReader& reader, std::string_view key, size_t max) {
  return Bounded(reader, key, reader.String(key), max);
}

DecisionKind ReadDecision(ObjectReader& reader) {
  const auto kind = ParseDecisionKind(reader.String("decision"));
  if (kind) return *kind;
  reader.Problem(fmt::format("{}: {}", reader.PathOf("decision"), kind.error().message));
  return DecisionKind::kReject;
}

std::string ReadTaskName(ObjectReader& reader) {
  const json* ref = reader.Object("taskRef");
  if (ref == nullptr) {
    reader.Problem(reader.PathOf("taskRef") + ": is required");
    return {};
  }
  ObjectReader nested(*ref, reader.PathOf("taskRef"));
  std::string name = Required(nested, "name", 63);
  reader.Adopt(nested.Finish());
  return name;
}

void CheckTexts(ObjectReader& reader, const ApprovalDecisionSpec& spec) {
  if (spec.decision == DecisionKind::kReject && spec.reason.empty())
    reader.Problem(reader.PathOf("reason") + ": is required with decision Reject");
  if (spec.decision == DecisionKind::kRevise && spec.feedback.empty())
    reader.Problem(reader.PathOf("feedback") + ": is required with decision Revise");
}

ApprovalStatus ReadStatus(const json& object) {
  ObjectReader reader(object, "status");
  ApprovalStatus status;
  status.observed_generation = reader.Int("observedGeneration", 0, 0, INT64_MAX);
  status.phase = PhaseFromName(reader.String("phase"));
  status.message = reader.String("message");
  if (const auto observed = ParseRfc3339(reader.String("observedTime"))) status.observed = *observed;
  if (const json* conditions = reader.Array("conditions")) {
    for (const json& entry : *conditions) {
      if (auto condition = ParseCondition(entry, "status.conditions"))
        status.conditions.push_back(std::move(*condition));
    }
  }
  return reader.Finish(false) ? status : ApprovalStatus{};
}

}  // namespace

std::string_view ToString(ApprovalPhase value) {
  for (const auto& [phase, text] : kPhases) {
    if (phase == value) return text;
  }
  return "Pending";
}

Result<ApprovalDecisionSpec> ParseApprovalSpec(const json& object, const std::string& path) {
  ObjectReader reader(object, path);
  ApprovalDecisionSpec spec;
  spec.task = ReadTaskName(reader);
  spec.run_id = Required(reader, "runID", 128);
  spec.subject_digest = Required(reader, "subjectDigest", 128);
  spec.decision = ReadDecision(reader);
  spec.reason = Optional(reader, "reason", 1024);
  spec.feedback = Optional(reader, "feedback", 8192);
  spec.approver = Required(reader, "approver", 512);
  CheckTexts(reader, spec);
  YBIS_TRY(reader.Finish());
  return spec;
}

Result<Approval> ParseApproval(const json& object) {
  Approval approval;
  YBIS_ASSIGN(approval.meta, ParseObjectMeta(object));
  const auto spec = object.find("spec");
  if (spec == object.end()) return Fail(ErrorCode::kInvalid, "spec: is required");
  YBIS_ASSIGN(approval.spec, ParseApprovalSpec(*spec));
  if (const auto status = object.find("status"); status != object.end() && status->is_object())
    approval.status = ReadStatus(*status);
  return approval;
}

json ToJson(const ApprovalDecisionSpec& spec) {
  json out = {{"taskRef", {{"name", spec.task}}},
              {"runID", spec.run_id},
              {"subjectDigest", spec.subject_digest},
              {"decision", ToString(spec.decision)},
              {"approver", spec.approver}};
  if (!spec.reason.empty()) out["reason"] = spec.reason;
  if (!spec.feedback.empty()) out["feedback"] = spec.feedback;
  return out;
}

json ToJson(const ApprovalStatus& status) {
  json out = {{"observedGeneration", status.observed_generation},
              {"phase", ToString(status.phase)},
              {"conditions", status.conditions}};
  if (!status.message.empty()) out["message"] = status.message;
  if (status.observed) out["observedTime"] = FormatRfc3339(*status.observed);
  return out;
}

}  // namespace ybis::api
