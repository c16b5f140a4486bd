// YbisTask whole, and its status.
#include <nlohmann/json.hpp>

#include "api/run_api.h"
#include "api/task.h"
#include "base/json.h"

namespace ybis::api {
namespace {

using nlohmann::json;

std::optional<TimePoint> ReadTime(ObjectReader& reader, std::string_view key) {
  const std::string text = reader.String(key);
  if (text.empty()) return std::nullopt;
  const auto time = ParseRfc3339(text);
  if (time) return *time;
  reader.Problem(fmt::format("{}: {}", reader.PathOf(key), time.error().message));
  return std::nullopt;
}

TaskPhase PhaseFromName(const std::string& name) {
  for (const TaskPhase phase : {TaskPhase::kQueued, TaskPhase::kRunning, TaskPhase::kBlocked,
                                TaskPhase::kCompleted, TaskPhase::kFailed, TaskPhase::kCancelled}) {
    if (name == ToString(phase)) return phase;
  }
  return TaskPhase::kPending;
}

RunStatus ReadRun(const json& object, ObjectReader& parent) {
  ObjectReader reader(object, "status.run");
  RunStatus run;
  run.id = reader.String("id");
  run.number = reader.Int("number", 0, 0, INT64_MAX);
  run.attempt = reader.Int("attempt", 0, 0, INT64_MAX);
  run.job_name = reader.String("jobName");
  run.node = reader.String("node");
  run.start_time = ReadTime(reader, "startTime");
  run.completion_time = ReadTime(reader, "completionTime");
  parent.Adopt(reader.Finish(false));
  return run;
}

AwaitedDecision ReadApproval(const json& object, ObjectReader& parent) {
  ObjectReader reader(object, "status.approval");
  AwaitedDecision awaited;
  awaited.subject_digest = reader.String("subjectDigest");
  awaited.node = reader.String("node");
  awaited.required = reader.Int("required", 1, 0, INT64_MAX);
  reader.Int("approvals", 0, 0, INT64_MAX);  // their number, for people
  awaited.approvers = reader.Strings("approvers");
  awaited.since = ReadTime(reader, "since");
  awaited.expires = ReadTime(reader, "expires");
  parent.Adopt(reader.Finish(false));
  return awaited;
}

template <class T>
std::optional<T> ReadPart(ObjectReader& reader, std::string_view key, Result<T> (*parse)(const json&)) {
  const json* object = reader.Object(key);
  if (object == nullptr) return std::nullopt;
  auto value = parse(*object);
  if (value) return std::move(*value);
  reader.Problem(fmt::format("{}: {}", reader.PathOf(key), value.error().message));
  return std::nullopt;
}

Result<TaskStatus> ParseStatus(const json& object) {
  ObjectReader reader(object, "status");
  TaskStatus status;
  status.observed_generation = reader.Int("observedGeneration", 0, 0, INT64_MAX);
  if (const json* conditions = reader.Array("conditions")) {
    for (size_t i = 0; i < conditions->size(); ++i) {
      auto condition = ParseCondition((*conditions)[i], fmt::format("status.conditions[{}]", i));
      if (condition) {
        status.conditions.push_back(std::move(*condition));
      } else {
        reader.Problem(condition.error().message);
      }
    }
  }
  status.phase = PhaseFromName(reader.String("phase"));
  if (const json* run = reader.Object("run")) status.run = ReadRun(*run, reader);
  if (const json* approval = reader.Object("approval")) status.approval = ReadApproval(*approval, reader);
  status.result = ReadPart<RunResult>(reader, "result", ParseRunResult);
  status.verification = ReadPart<VerificationResult>(reader, "verification", ParseVerificationResult);
  status.usage = ReadPart<Usage>(reader, "usage", ParseUsage);
  status.failure = ReadPart<Failure>(reader, "failure", ParseFailure);
  if (const json* artifacts = reader.Array("artifacts")) {
    for (const json& artifact : *artifacts) {
      if (auto ref = ParseArtifactRef(artifact)) status.artifacts.push_back(std::move(*ref));
    }
  }
  YBIS_TRY(reader.Finish(false));
  return status;
}

json RunJson(const RunStatus& run) {
  json out = {{"id", run.id}, {"number", run.number}, {"attempt", run.attempt}};
  if (!run.job_name.empty()) out["jobName"] = run.job_name;
  if (!run.node.empty()) out["node"] = run.node;
  if (run.start_time) out["startTime"] = FormatRfc3339(*run.start_time);
  if (run.completion_time) out["completionTime"] = FormatRfc3339(*run.completion_time);
  return out;
}

json ApprovalJson(const AwaitedDecision& awaited) {
  json out = {{"subjectDigest", awaited.subject_digest},
              {"required", awaited.required},
              {"approvals", awaited.approvers.size()}};
  if (!awaited.node.empty()) out["node"] = awaited.node;
  if (!awaited.approvers.empty()) out["approvers"] = awaited.approvers;
  if (awaited.since) out["since"] = FormatRfc3339(*awaited.since);
  if (awaited.expires) out["expires"] = FormatRfc3339(*awaited.expires);
  return out;
}

}  // namespace

Result<Task> ParseTask(const json& object) {
  Task task;
  YBIS_ASSIGN(task.meta, ParseObjectMeta(object));
  const auto spec = object.find("spec");
  if (spec == object.end()) return Fail(ErrorCode::kInvalid, "spec: is required");
  YBIS_ASSIGN(task.spec, ParseTaskSpec(*spec));
  if (const auto status = object.find("status"); status != object.end() && !status->is_null()) {
    YBIS_ASSIGN(task.status, ParseStatus(*status));
  }
  return task;
}

json ToJson(const TaskStatus& status) {
  json out = {{"observedGeneration", status.observed_generation},
              {"conditions", status.conditions},
              {"phase", ToString(status.phase)}};
  if (status.run) out["run"] = RunJson(*status.run);
  if (status.approval) out["approval"] = ApprovalJson(*status.approval);
  if (status.result) out["result"] = ToJson(*status.result);
  if (status.verification) out["verification"] = ToJson(*status.verification);
  if (status.usage) out["usage"] = ToJson(*status.usage);
  if (status.failure) out["failure"] = ToJson(*status.failure);
  for (const ArtifactRef& artifact : status.artifacts) out["artifacts"].push_back(ToJson(artifact));
  return out;
}

}  // namespace ybis::api
