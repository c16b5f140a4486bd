#pragma once
// The Run API: what a runner says to the control core and hears back, as JSON over HTTP. One struct a
// message.
//
//   POST /v1/runs/{id}/claim       ClaimRequest    → ClaimResponse       takes the lease (a new epoch)
//   POST /v1/runs/{id}/heartbeat   HeartbeatRequest→ HeartbeatResponse   renews it; says whether to stop
//   POST /v1/runs/{id}/nodes       NodeReport      → {}                  one finished node and the checkpoint
//   after it POST /v1/runs/{id}/events      EventReport     → {}                  journal PUT
//   /v1/runs/{id}/artifacts/{name}?epoch=N    bytes → ArtifactRef   names may hold one level of folders,
//   encoded GET  /v1/runs/{id}/artifacts/{name}            → bytes POST /v1/runs/{id}/model ModelRequest    →
//   ModelResponse       a model call through the gateway POST /v1/runs/{id}/finish      FinishReport    → {}
//   ends the run (or blocks it) and the lease POST /v1/runs/{id}/release     ReleaseReport   → {} gives the
//   lease back (SIGTERM); the run is queued again
//
// Every request carries `Authorization: Bearer <token>`. A write with an epoch that is not the current one
// answers 409 with code Stale: the runner must stop at once. Errors are
// {"error":{"code","message","retryable"}} with code from ErrorCode. Every write may be repeated after a
// break: the same report twice is one.
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "api/task.h"
#include "api/workflow.h"

namespace ybis::api {

/// What the operator and the task together allow; the task could only tighten it.
struct RunPolicy {
  std::vector<std::string> protected_paths;
  int64_t max_changed_files = 100;
  int64_t max_diff_bytes = 1024 * 1024;
  bool network = false;
  bool sandbox_best_effort = false;
  bool allow_file_urls = false;  ///< local mode
  std::string project_root;  ///< local mode: the checkout whose uncommitted files come along; empty = none
  std::vector<std::string>
      exec_allow;  ///< program names that command and verifier nodes may run; empty = any
};

/// Everything a runner needs to know of its run.
struct RunOrder {
  std::string run_id;
  int64_t run_number = 1;
  std::string task_namespace;
  std::string task_name;
  std::string task_uid;
  std::string trace_id;  ///< 32 lower-case hexadecimal digits, one a run; may be empty
  TaskSpec spec;
  WorkflowSpec workflow;
  RunPolicy policy;
  std::optional<TimePoint> deadline;  ///< of the whole run over all attempts
};

/// State after a node: enough to go on on any machine.
struct Checkpoint {
  int64_t seq = 0;                        ///< nodes finished so far
  std::string next_node;                  ///< empty: the walk is over
  std::map<std::string, int64_t> visits;  ///< by node name
  std::shared_ptr<const nlohmann::json>
      state;  ///< outputs by node type and name, what routing reads; an object
  std::string base_commit;
  std::string patch;  ///< cumulative patch on base_commit; empty = clean
};

/// What a person decided about the wait of a checkpoint.
struct ApprovalDecision {
  DecisionKind decision = DecisionKind::kApprove;  ///< Approve or Revise: a rejected run is not claimed
  std::vector<std::string> approvers;              ///< who decided, in the order of their decisions
  std::string reason;
  std::string feedback;        ///< of Revise: what the repair is to do
  std::string subject_digest;  ///< of the wait that it ended
  int64_t seq = 0;             ///< of the checkpoint that waited
  TimePoint decided;
};

/// Digest of what waits: a later wait of the same run, even with the same patch, has another one. `seq` is
/// the checkpoint's; `gate_decision` is empty where no gate has judged yet.
std::string SubjectDigest(const std::string& run_id, int64_t seq, const std::string& patch_digest,
                          const std::string& gate_decision);

struct ClaimRequest {
  std::string runner_version;
  std::string host;  ///< pod or machine name, for people
};

struct ClaimResponse {
  int64_t epoch = 0;
  int64_t attempt = 1;
  /// How often an attempt failed for a reason around the task; waits, drains and the like do not count. In
  /// JSON left out when it is attempt - 1, which is what readers take it for then.
  int64_t infra_failures = 0;
  int64_t lease_seconds = 300;
  int64_t heartbeat_seconds = 60;
  RunOrder order;
  std::optional<Checkpoint> checkpoint;  ///< present when an earlier attempt got that far
  /// Present while the checkpoint is one that waited and was decided about: the same at every claim until the
  /// next checkpoint.
  std::optional<ApprovalDecision> decision;
};

struct HeartbeatRequest {
  int64_t epoch = 0;
  std::string node;
};

struct HeartbeatResponse {
  bool cancel = false;  ///< the task was cancelled or deleted: stop, do not finish
};

struct NodeReport {
  int64_t epoch = 0;
  int64_t seq = 0;  ///< from 1; the same seq again with the same epoch or a later one is a repeat
  std::string node;
  std::string type;
  int64_t visit = 1;
  std::string outcome;  ///< ok or error
  std::string error;
  TimePoint started;
  TimePoint finished;
  std::shared_ptr<const nlohmann::json> input;  ///< small summary; big content goes by digest
  std::shared_ptr<const nlohmann::json> output;
  Checkpoint checkpoint;
};

struct EventReport {
  int64_t epoch = 0;
  std::string key;   ///< idempotency: the same key of the same run is recorded once
  std::string type;  ///< GIT_WORKTREE_CREATED, …
  std::string message;
  std::shared_ptr<const nlohmann::json> fields;
  TimePoint time;
};

struct ModelMessage {
  std::string role;  ///< system, user or assistant
  std::string content;
};

struct ModelRequest {
  int64_t epoch = 0;
  std::string node;
  int64_t visit = 1;
  int64_t call = 0;    ///< number of the call within the visit, from 0
  std::string prompt;  ///< name of the prompt, e.g. planner
  std::string prompt_version;
  std::vector<ModelMessage> messages;
  std::string schema_name;                       ///< empty: free text
  std::shared_ptr<const nlohmann::json> schema;  ///< JSON Schema (draft 7) of the answer, or null

  /// Digest of all that decides the answer (not of the epoch): with run, node, visit and call the idempotency
  /// key.
  std::string RequestDigest() const;
};

struct ModelResponse {
  std::string content;                           ///< the text of the answer
  std::shared_ptr<const nlohmann::json> answer;  ///< the parsed and schema-checked answer, null for free text
  std::string model;
  Usage usage;
  bool replayed = false;  ///< it came from the record: nothing was paid
};

struct FinishReport {
  int64_t epoch = 0;
  std::string outcome;  ///< Completed, Failed or Blocked
  std::optional<Failure> failure;
  std::optional<RunResult> result;
  std::optional<VerificationResult> verification;
  std::string subject_digest;  ///< Blocked: digest of what waits for a person
  std::string wait_node;       ///< Blocked: the node that it waits at
};

struct ReleaseReport {
  int64_t epoch = 0;
  std::string reason;
  bool failed =
      false;  ///< the attempt failed, and the next one uses up an infrastructure retry; absent = false
};

// JSON forms: camelCase members, times as RFC 3339 with microseconds. Parse* name the field that is wrong.
nlohmann::json ToJson(const RunPolicy& value);
nlohmann::json ToJson(const Checkpoint& value);
nlohmann::json ToJson(const ApprovalDecision& value);
nlohmann::json ToJson(const ClaimRequest& value);
nlohmann::json ToJson(const ClaimResponse& value);
nlohmann::json ToJson(const HeartbeatRequest& value);
nlohmann::json ToJson(const HeartbeatResponse& value);
nlohmann::json ToJson(const NodeReport& value);
nlohmann::json ToJson(const EventReport& value);
nlohmann::json ToJson(const ModelRequest& value);
nlohmann::json ToJson(const ModelResponse& value);
nlohmann::json ToJson(const FinishReport& value);
nlohmann::json ToJson(const ReleaseReport& value);
nlohmann::json ToJson(const Failure& value);
nlohmann::json ToJson(const RunResult& value);
nlohmann::json ToJson(const VerificationResult& value);
nlohmann::json ToJson(const Usage& value);
nlohmann::json ToJson(const ArtifactRef& value);

Result<RunPolicy> ParseRunPolicy(const nlohmann::json& value);
Result<Checkpoint> ParseCheckpoint(const nlohmann::json& value);
Result<ApprovalDecision> ParseApprovalDecision(const nlohmann::json& value);
Result<ClaimRequest> ParseClaimRequest(const nlohmann::json& value);
Result<ClaimResponse> ParseClaimResponse(const nlohmann::json& value);
Result<HeartbeatRequest> ParseHeartbeatRequest(const nlohmann::json& value);
Result<HeartbeatResponse> ParseHeartbeatResponse(const nlohmann::json& value);
Result<NodeReport> ParseNodeReport(const nlohmann::json& value);
Result<EventReport> ParseEventReport(const nlohmann::json& value);
Result<ModelRequest> ParseModelRequest(const nlohmann::json& value);
Result<ModelResponse> ParseModelResponse(const nlohmann::json& value);
Result<FinishReport> ParseFinishReport(const nlohmann::json& value);
Result<ReleaseReport> ParseReleaseReport(const nlohmann::json& value);
Result<Failure> ParseFailure(const nlohmann::json& value);
Result<RunResult> ParseRunResult(const nlohmann::json& value);
Result<VerificationResult> ParseVerificationResult(const nlohmann::json& value);
Result<Usage> ParseUsage(const nlohmann::json& value);
Result<ArtifactRef> ParseArtifactRef(const nlohmann::json& value);

}  // namespace ybis::api
