#include "api/run_api.h"

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/json.h"

namespace ybis::api {
namespace {

using nlohmann::json;
using JsonPtr = std::shared_ptr<const json>;

json OrNull(const JsonPtr& value) { return value ? *value : json(nullptr); }

JsonPtr Keep(const json* value) { return value == nullptr ? nullptr : std::make_shared<json>(*value); }

TimePoint ReadTime(ObjectReader& reader, std::string_view key) {
  const auto time = ParseRfc3339(reader.RequiredString(key));
  if (time) return *time;
  reader.Problem(fmt::format("{}: {}", reader.PathOf(key), time.error().message));
  return {};
}

/// Postgres reads no field of a document that has a NUL anywhere.
void CheckNoNul(ObjectReader& reader, const RunResult& result) {
  for (const std::string* text :
       {&result.decision, &result.branch, &result.commit, &result.base_commit, &result.patch_digest}) {
    if (text->find('\0') != std::string::npos)
      reader.Problem(reader.PathOf("result") + ": a NUL character is not allowed");
  }
}

int64_t ReadEpoch(ObjectReader& reader) { return reader.Int("epoch", 0, 0, INT64_MAX); }

/// A nested value with its own parser; its problems are adopted.
template <class T>
T ReadPart(ObjectReader& reader, std::string_view key, Result<T> (*parse)(const json&)) {
  const json* object = reader.Member(key);
  if (object == nullptr) {
    reader.Problem(fmt::format("{}: is required", reader.PathOf(key)));
    return {};
  }
  auto value = parse(*object);
  if (value) return std::move(*value);
  reader.Problem(fmt::format("{}: {}", reader.PathOf(key), value.error().message));
  return {};
}

template <class T>
std::optional<T> ReadOptional(ObjectReader& reader, std::string_view key, Result<T> (*parse)(const json&)) {
  if (reader.Member(key) == nullptr) return std::nullopt;
  return ReadPart(reader, key, parse);
}

json OrderJson(const RunOrder& order) {
  json out = {{"runID", order.run_id},
              {"runNumber", order.run_number},
              {"taskNamespace", order.task_namespace},
              {"taskName", order.task_name},
              {"taskUID", order.task_uid},
              {"spec", ToJson(order.spec)},
              {"workflow", ToJson(order.workflow)},
              {"policy", ToJson(order.policy)}};
  if (!order.trace_id.empty()) out["traceID"] = order.trace_id;
  if (order.deadline) out["deadline"] = FormatRfc3339Micro(*order.deadline);
  return out;
}

Result<RunOrder> ParseOrder(const json& value) {
  ObjectReader reader(value, "order");
  RunOrder out;
  out.run_id = reader.RequiredString("runID");
  out.run_number = reader.Int("runNumber", 1, 1, INT64_MAX);
  out.task_namespace = reader.String("taskNamespace");
  out.task_name = reader.RequiredString("taskName");
  out.task_uid = reader.RequiredString("taskUID");
  out.trace_id = reader.String("traceID");
  const json* spec = reader.Object("spec");
  const json* workflow = reader.Object("workflow");
  if (spec == nullptr) reader.Problem("order.spec: is required");
  if (workflow == nullptr) reader.Problem("order.workflow: is required");
  out.policy = ReadPart<RunPolicy>(reader, "policy", ParseRunPolicy);
  if (reader.Member("deadline") != nullptr) out.deadline = ReadTime(reader, "deadline");
  YBIS_TRY(reader.Finish());
  YBIS_ASSIGN(out.spec, ParseTaskSpec(*spec, "order.spec"));
  YBIS_ASSIGN(out.workflow, ParseWorkflowSpec(*workflow, "", "order.workflow"));
  return out;
}

json MessageJson(const ModelMessage& message) {
  return {{"role", message.role}, {"content", message.content}};
}

std::vector<ModelMessage> ReadMessages(ObjectReader& reader) {
  std::vector<ModelMessage> messages;
  const json* list = reader.Array("messages");
  if (list == nullptr || list->empty()) {
    reader.Problem("messages: must hold at least one message");
    return messages;
  }
  for (size_t i = 0; i < list->size(); ++i) {
    ObjectReader item((*list)[i], fmt::format("messages[{}]", i));
    ModelMessage message;
    message.role = item.Choice("role", "user", {"system", "user", "assistant"});
    message.content = item.String("content");
    reader.Adopt(item.Finish());
    messages.push_back(std::move(message));
  }
  return messages;
}

}  // namespace

std::string ModelRequest::RequestDigest() const {
  json messages_json = json::array();
  for (const ModelMessage& message : messages) messages_json.push_back(MessageJson(message));
  return Digest(DumpJson({{"prompt", prompt},
                          {"promptVersion", prompt_version},
                          {"messages", std::move(messages_json)},
                          {"schemaName", schema_name},
                          {"schema", OrNull(schema)}}));
}

json ToJson(const Checkpoint& value) {
  return {{"seq", value.seq},
          {"nextNode", value.next_node},
          {"visits", value.visits},
          {"state", value.state ? *value.state : json::object()},
          {"baseCommit", value.base_commit},
          {"patch", value.patch}};
}

Result<Checkpoint> ParseCheckpoint(const json& value) {
  ObjectReader reader(value, "checkpoint");
  Checkpoint out;
  out.seq = reader.Int("seq", 0, 0, INT64_MAX);
  out.next_node = reader.String("nextNode");
  if (const json* visits = reader.Object("visits")) {
    for (const auto& [node, count] : visits->items()) {
      if (count.is_number_integer()) out.visits[node] = count.get<int64_t>();
    }
  }
  const json* state = reader.Object("state");
  out.state = std::make_shared<json>(state != nullptr ? *state : json::object());
  out.base_commit = reader.String("baseCommit");
  out.patch = reader.String("patch");
  YBIS_TRY(reader.Finish());
  return out;
}

std::string SubjectDigest(const std::string& run_id, int64_t seq, const std::string& patch_digest,
                          const std::string& gate_decision) {
  return Digest(DumpJson(
      {{"run", run_id}, {"seq", seq}, {"patchDigest", patch_digest}, {"gateDecision", gate_decision}}));
}

json ToJson(const ApprovalDecision& value) {
  return {{"decision", ToString(value.decision)},
          {"approvers", value.approvers},
          {"reason", value.reason},
          {"feedback", value.feedback},
          {"subjectDigest", value.subject_digest},
          {"seq", value.seq},
          {"decided", FormatRfc3339Micro(value.decided)}};
}

Result<ApprovalDecision> ParseApprovalDecision(const json& value) {
  ObjectReader reader(value, "decision");
  ApprovalDecision out;
  // A name that is missing reads as "", which is no choice.
  const std::string kind = reader.Choice("decision", "", {"Approve", "Revise"});
  out.decision = kind == "Revise" ? DecisionKind::kRevise : DecisionKind::kApprove;
  out.approvers = reader.Strings("approvers");
  out.reason = reader.String("reason");
  out.feedback = reader.String("feedback");
  out.subject_digest = reader.RequiredString("subjectDigest");
  out.seq = reader.Int("seq", 0, 0, INT64_MAX);
  out.decided = ReadTime(reader, "decided");
  YBIS_TRY(reader.Finish());
  return out;
}

json ToJson(const ClaimRequest& value) {
  return {{"runnerVersion", value.runner_version}, {"host", value.host}};
}

Result<ClaimRequest> ParseClaimRequest(const json& value) {
  ObjectReader reader(value, "");
  ClaimRequest out{reader.String("runnerVersion"), reader.String("host")};
  YBIS_TRY(reader.Finish());
  return out;
}

json ToJson(const ClaimResponse& value) {
  json out = {{"epoch", value.epoch},
              {"attempt", value.attempt},
              {"leaseSeconds", value.lease_seconds},
              {"heartbeatSeconds", value.heartbeat_seconds},
              {"order", OrderJson(value.order)}};
  if (value.infra_failures != value.attempt - 1) out["infraFailures"] = value.infra_failures;
  if (value.checkpoint) out["checkpoint"] = ToJson(*value.checkpoint);
  if (value.decision) out["decision"] = ToJson(*value.decision);
  return out;
}

Result<ClaimResponse> ParseClaimResponse(const json& value) {
  ObjectReader reader(value, "");
  ClaimResponse out;
  out.epoch = ReadEpoch(reader);
  out.attempt = reader.Int("attempt", 1, 1, INT64_MAX);
  out.infra_failures = reader.Int("infraFailures", out.attempt - 1, 0, INT64_MAX);
  out.lease_seconds = reader.Int("leaseSeconds", 300, 1, 86400);
  out.heartbeat_seconds = reader.Int("heartbeatSeconds", 60, 1, 86400);
  out.order = ReadPart<RunOrder>(reader, "order", ParseOrder);
  out.checkpoint = ReadOptional<Checkpoint>(reader, "checkpoint", ParseCheckpoint);
  out.decision = ReadOptional<ApprovalDecision>(reader, "decision", ParseApprovalDecision);
  YBIS_TRY(reader.Finish());
  return out;
}

json ToJson(const HeartbeatRequest& value) { return {{"epoch", value.epoch}, {"node", value.node}}; }

Result<HeartbeatRequest> ParseHeartbeatRequest(const json& value) {
  ObjectReader reader(value, "");
  HeartbeatRequest out{ReadEpoch(reader), reader.String("node")};
  YBIS_TRY(reader.Finish());
  return out;
}

json ToJson(const HeartbeatResponse& value) { return {{"cancel", value.cancel}}; }

Result<HeartbeatResponse> ParseHeartbeatResponse(const json& value) {
  ObjectReader reader(value, "");
  HeartbeatResponse out{reader.Bool("cancel", false)};
  YBIS_TRY(reader.Finish());
  return out;
}

json ToJson(const NodeReport& value) {
  return {{"epoch", value.epoch},
          {"seq", value.seq},
          {"node", value.node},
          {"type", value.type},
          {"visit", value.visit},
          {"outcome", value.outcome},
          {"error", value.error},
          {"started", FormatRfc3339Micro(value.started)},
          {"finished", FormatRfc3339Micro(value.finished)},
          {"input", OrNull(value.input)},
          {"output", OrNull(value.output)},
          {"checkpoint", ToJson(value.checkpoint)}};
}

Result<NodeReport> ParseNodeReport(const json& value) {
  ObjectReader reader(value, "");
  NodeReport out;
  out.epoch = ReadEpoch(reader);
  out.seq = reader.Int("seq", 0, 1, INT64_MAX);
  out.node = reader.RequiredString("node");
  out.type = reader.RequiredString("type");
  out.visit = reader.Int("visit", 1, 1, INT64_MAX);
  out.outcome = reader.Choice("outcome", "ok", {"ok", "error"});
  out.error = reader.String("error");
  out.started = ReadTime(reader, "started");
  out.finished = ReadTime(reader, "finished");
  out.input = Keep(reader.Member("input"));
  out.output = Keep(reader.Member("output"));
  out.checkpoint = ReadPart<Checkpoint>(reader, "checkpoint", ParseCheckpoint);
  YBIS_TRY(reader.Finish());
  return out;
}

json ToJson(const EventReport& value) {
  return {{"epoch", value.epoch},
          {"key", value.key},
          {"type", value.type},
          {"message", value.message},
          {"fields", OrNull(value.fields)},
          {"time", FormatRfc3339Micro(value.time)}};
}

Result<EventReport> ParseEventReport(const json& value) {
  ObjectReader reader(value, "");
  EventReport out;
  out.epoch = ReadEpoch(reader);
  out.key = reader.RequiredString("key");
  out.type = reader.RequiredString("type");
  out.message = reader.String("message");
  out.fields = Keep(reader.Object("fields"));
  out.time = ReadTime(reader, "time");
  YBIS_TRY(reader.Finish());
  return out;
}

json ToJson(const ModelRequest& value) {
  json messages = json::array();
  for (const ModelMessage& message : value.messages) messages.push_back(MessageJson(message));
  return {{"epoch", value.epoch},
          {"node", value.node},
          {"visit", value.visit},
          {"call", value.call},
          {"prompt", value.prompt},
          {"promptVersion", value.prompt_version},
          {"messages", std::move(messages)},
          {"schemaName", value.schema_name},
          {"schema", OrNull(value.schema)}};
}

Result<ModelRequest> ParseModelRequest(const json& value) {
  ObjectReader reader(value, "");
  ModelRequest out;
  out.epoch = ReadEpoch(reader);
  out.node = reader.RequiredString("node");
  out.visit = reader.Int("visit", 1, 1, INT64_MAX);
  out.call = reader.Int("call", 0, 0, INT64_MAX);
  out.prompt = reader.String("prompt");
  out.prompt_version = reader.String("promptVersion");
  out.messages = ReadMessages(reader);
  out.schema_name = reader.String("schemaName");
  out.schema = Keep(reader.Object("schema"));
  YBIS_TRY(reader.Finish());
  return out;
}

json ToJson(const ModelResponse& value) {
  return {{"content", value.content},
          {"answer", OrNull(value.answer)},
          {"model", value.model},
          {"usage", ToJson(value.usage)},
          {"replayed", value.replayed}};
}

Result<ModelResponse> ParseModelResponse(const json& value) {
  ObjectReader reader(value, "");
  ModelResponse out;
  out.content = reader.String("content");
  out.answer = Keep(reader.Member("answer"));
  out.model = reader.String("model");
  out.usage = ReadOptional<Usage>(reader, "usage", ParseUsage).value_or(Usage{});
  out.replayed = reader.Bool("replayed", false);
  YBIS_TRY(reader.Finish());
  return out;
}

json ToJson(const FinishReport& value) {
  json out = {{"epoch", value.epoch}, {"outcome", value.outcome}};
  if (value.failure) out["failure"] = ToJson(*value.failure);
  if (value.result) out["result"] = ToJson(*value.result);
  if (value.verification) out["verification"] = ToJson(*value.verification);
  if (!value.subject_digest.empty()) out["subjectDigest"] = value.subject_digest;
  if (!value.wait_node.empty()) out["waitNode"] = value.wait_node;
  return out;
}

Result<FinishReport> ParseFinishReport(const json& value) {
  ObjectReader reader(value, "");
  FinishReport out;
  out.epoch = ReadEpoch(reader);
  out.outcome = reader.Choice("outcome", "", {"Completed", "Failed", "Blocked"});
  out.failure = ReadOptional<Failure>(reader, "failure", ParseFailure);
  out.result = ReadOptional<RunResult>(reader, "result", ParseRunResult);
  if (out.result) CheckNoNul(reader, *out.result);
  out.verification = ReadOptional<VerificationResult>(reader, "verification", ParseVerificationResult);
  out.subject_digest = reader.String("subjectDigest");
  out.wait_node = reader.String("waitNode");
  YBIS_TRY(reader.Finish());
  return out;
}

json ToJson(const ReleaseReport& value) {
  json out = {{"epoch", value.epoch}, {"reason", value.reason}};
  if (value.failed) out["failed"] = true;
  return out;
}

Result<ReleaseReport> ParseReleaseReport(const json& value) {
  ObjectReader reader(value, "");
  ReleaseReport out{ReadEpoch(reader), reader.String("reason"), reader.Bool("failed", false)};
  YBIS_TRY(reader.Finish());
  return out;
}

}  // namespace ybis::api
