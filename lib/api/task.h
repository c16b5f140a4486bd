#pragma once
// YbisTask (ybis.dev/v1alpha1): a durable intent, one objective on one repository. The schema is
// crds/ybis.dev_ybistasks.yaml.
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "api/meta.h"

namespace ybis::api {

enum class Priority { kHigh, kMedium, kLow };  ///< HIGH, MEDIUM, LOW

struct RepositorySpec {
  std::string url;
  std::string ref;                 ///< branch, tag or full commit; empty = the server's default branch
  std::string credentials_secret;  ///< name of a Secret of the task's namespace; empty = anonymous
  std::string
      ca_bundle_secret;  ///< name of a Secret whose key ca.crt verifies the server; empty = the system's
};

struct ModelSpec {
  std::string name;                    ///< a model of the operator's configuration; empty = its default
  std::vector<std::string> fallbacks;  ///< tried in this order when it fails
  std::optional<double> temperature;   ///< 0 to 2
  int64_t max_output_tokens = 0;       ///< a call; 0 = the operator's
};

struct VerificationSpec {
  std::vector<std::vector<std::string>> commands;  ///< argv lists, never shell strings; empty = detected
  int64_t timeout_seconds = 600;                   ///< of each command
};

/// Of a change's patch: with the rest of a node's report it stays below what the record takes.
inline constexpr int64_t kMaxPatchBytes = 12 * 1024 * 1024;

struct PolicySpec {
  std::vector<std::string> protected_paths;  ///< globs (** crosses folders); added to the operator's
  int64_t max_changed_files = 0;             ///< 0 = the operator's limit
  int64_t max_diff_bytes = 0;                ///< 0 = the operator's limit
  bool network = false;  ///< whether commands may open network sockets, if the operator allows it
};

enum class DeliveryMode { kNone, kBranch };

struct DeliverySpec {
  DeliveryMode mode = DeliveryMode::kNone;
  std::string branch;  ///< name of the branch to push; empty = ybis/<task name>-<run id>
};

/// When a run waits for a person.
enum class ApprovalMode {
  kNever,    ///< what would wait fails at once with class Policy
  kOnBlock,  ///< a gate that blocks, and every human_approval node
  kAlways,   ///< the same, and every change before it is delivered
};

struct ApprovalSpec {
  ApprovalMode mode = ApprovalMode::kOnBlock;
  int64_t required = 1;           ///< how many different people must approve
  int64_t ttl_seconds = 604'800;  ///< a wait that nobody ends fails with class Expired after this time
  int64_t reminder_seconds = 0;   ///< between reminders in the journal; 0 = none
};

/// What a person decides about a run that waits.
enum class DecisionKind { kApprove, kReject, kRevise };

inline constexpr int64_t kDefaultTimeoutSeconds = 3600;

struct LimitsSpec {
  int64_t timeout_seconds = 0;  ///< 0 = kDefaultTimeoutSeconds, or the operator's longest where that is less
  int64_t max_repairs = 3;
  int64_t max_infra_retries = 3;
  int64_t max_tokens = 0;   ///< input and output of the run together; 0 = the operator's
  double max_cost_usd = 0;  ///< 0 = the operator's
};

struct WorkspaceSpec {
  std::string size;                ///< a quantity, e.g. 2Gi; empty = the operator's
  std::string storage_class_name;  ///< empty = the cluster's default
  std::string medium;  ///< "Volume" (generic ephemeral volume) or "EmptyDir"; empty = the operator's
};

struct RunnerSpec {
  std::string image;  ///< must match the operator's allowlist; empty = the operator's
  std::shared_ptr<const nlohmann::json> resources;  ///< core/v1 ResourceRequirements or null
  std::map<std::string, std::string> node_selector;
  std::shared_ptr<const nlohmann::json> tolerations;  ///< list of core/v1 Toleration or null
  std::string priority_class_name;
  std::string runtime_class_name;
};

struct TaskSpec {
  std::string title;
  std::string objective;
  Priority priority = Priority::kMedium;
  RepositorySpec repository;
  std::string workflow = "ybis-native";           ///< workflowRef.name
  std::map<std::string, std::string> parameters;  ///< `{{name}}` in the workflow's and prompts' texts
  ModelSpec model;
  VerificationSpec verification;
  PolicySpec policy;
  ApprovalSpec approval;
  DeliverySpec delivery;
  LimitsSpec limits;
  WorkspaceSpec workspace;
  RunnerSpec runner;
  std::string queue_name;   ///< passed on as the label kueue.x-k8s.io/queue-name
  bool suspend = false;     ///< true: nothing new starts
  bool cancel = false;      ///< true: what runs is stopped and the task ends Cancelled
  std::string rerun_token;  ///< rerun.token: another value than before starts a new run
  std::string rerun_from;   ///< rerun.fromNode: that run begins here, from the earlier run's checkpoint
};

enum class FailureClass {
  kInfra,
  kAgent,
  kVerify,
  kPolicy,
  kRejected,
  kExpired,
  kBudget,
  kTimeout,
  kCancelled,
  kInvalid
};

struct Failure {
  FailureClass failure_class = FailureClass::kInfra;
  std::string reason;   ///< CamelCase, for the condition and the event, e.g. RepositoryUnreachable
  std::string message;  ///< what was wrong and what to do, at most 1024 bytes
};

/// What came out of a run.
struct RunResult {
  std::string decision;  ///< the gate's: approved, blocked, rejected
  std::string branch;    ///< as pushed, empty when nothing was
  std::string commit;
  std::string base_commit;
  std::string patch_digest;
  int64_t files_changed = 0;
  int64_t insertions = 0;
  int64_t deletions = 0;
};

struct VerificationResult {
  int64_t passed = 0;
  int64_t failed = 0;
};

struct Usage {
  int64_t tokens_in = 0;
  int64_t tokens_out = 0;
  double cost_usd = 0;
  int64_t llm_calls = 0;
};

struct ArtifactRef {
  std::string name;
  std::string digest;
  int64_t size = 0;
};

enum class TaskPhase { kPending, kQueued, kRunning, kBlocked, kCompleted, kFailed, kCancelled };

struct RunStatus {
  std::string id;
  int64_t number = 0;
  int64_t attempt = 0;
  std::string job_name;
  std::string node;
  std::optional<TimePoint> start_time;
  std::optional<TimePoint> completion_time;
};

/// What a run waits for while it is Blocked, and what a YbisApproval about it must name.
struct AwaitedDecision {
  std::string subject_digest;
  std::string node;  ///< the gate or human_approval node that asked
  int64_t required = 1;
  std::vector<std::string> approvers;  ///< who approved so far, each once
  std::optional<TimePoint> since;
  std::optional<TimePoint> expires;
};

struct TaskStatus {
  int64_t observed_generation = 0;
  std::vector<Condition> conditions;
  TaskPhase phase = TaskPhase::kPending;
  std::optional<RunStatus> run;
  std::optional<AwaitedDecision> approval;  ///< while the run waits for a person
  std::optional<RunResult> result;
  std::optional<VerificationResult> verification;
  std::optional<Usage> usage;
  std::vector<ArtifactRef> artifacts;
  std::optional<Failure> failure;
};

struct Task {
  ObjectMeta meta;
  TaskSpec spec;
  TaskStatus status;
};

std::string_view ToString(Priority value);
std::string_view ToString(DeliveryMode value);
std::string_view ToString(ApprovalMode value);  ///< Never, OnBlock, Always
std::string_view ToString(DecisionKind value);  ///< Approve, Reject, Revise
std::string_view ToString(FailureClass value);
std::string_view ToString(TaskPhase value);
Result<FailureClass> ParseFailureClass(std::string_view name);
Result<DecisionKind> ParseDecisionKind(std::string_view name);

/// Reads a whole object as the API server gives it; problems name the field ("spec.objective: is required").
Result<Task> ParseTask(const nlohmann::json& object);
/// Reads and checks a spec alone: the bounds of the schema hold here too (local mode has no API server).
Result<TaskSpec> ParseTaskSpec(const nlohmann::json& spec, const std::string& path = "spec");
/// The spec in its CR form, defaults left out. ParseTaskSpec reads it back equal.
nlohmann::json ToJson(const TaskSpec& spec);
nlohmann::json ToJson(const TaskStatus& status);

}  // namespace ybis::api
