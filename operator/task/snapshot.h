#pragma once
// What is known of one task at one moment: all that Decide may look at.
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "api/task.h"
#include "api/workflow.h"
#include "control/approvals.h"
#include "control/config.h"
#include "control/run_record.h"
#include "kube/client.h"
#include "kube/resource.h"

namespace ybis::op {

/// The parts of a Job that decisions need.
struct JobView {
  kube::Key key;
  std::string uid;
  std::string owner_uid;
  bool deleting = false;
  bool suspended = false;
  bool complete = false;
  bool failed = false;
  std::string failed_reason;  ///< of its condition, e.g. BackoffLimitExceeded
  std::string failed_message;

  bool Ended() const { return complete || failed; }
};

/// Why a pod does not get to run, as a word and as a sentence that says what to do.
struct PodTrouble {
  std::string reason;
  std::string message;
};

struct PodView {
  kube::Key key;
  std::string uid;
  bool deleting = false;
  std::optional<TimePoint> delete_by;  ///< when a node that lives has deleted it at the latest
  bool killed = false;                 ///< being deleted with a grace of a second or less
  bool ended = false;                  ///< succeeded or failed
  bool started = false;                ///< its container has run or runs
  std::optional<PodTrouble> trouble;
};

/// The workflow that the task names: its spec, or why there is none to use.
struct WorkflowChoice {
  std::optional<api::WorkflowSpec> spec;
  std::string reason;
  std::string message;
};

/// What making the run or its Job came up against, carried from one pass of a reconcile to the next.
struct CreateProblem {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
  bool of_submission = false;  ///< the record did not take the run; else the API server not its Job
};

struct Snapshot {
  kube::Key key;
  bool exists = false;
  bool current = true;           ///< false: a cache has not caught up with our own last write
  kube::Object object;           ///< the task as the API server gave it
  api::Task task;                ///< of an invalid one only the metadata and what could be read of the status
  std::optional<Error> invalid;  ///< what is wrong with its spec
  WorkflowChoice workflow;       ///< looked up only when a run is to be submitted, or is held for a refusal
  std::vector<std::string>
      missing_secrets;     ///< likewise: "git-credentials (spec.repository.credentialsSecretRef)"
  bool submitted = false;  ///< by an earlier pass of this very reconcile
  bool admitted = false;   ///< likewise: those whose turn it was have been admitted
  std::optional<control::RunRecord> run;  ///< the newest
  std::optional<control::Wait> wait;      ///< what that run waits for, while it is blocked
  std::optional<JobView> job;             ///< that run's
  std::vector<PodView> pods;              ///< that run's
  std::optional<CreateProblem> create_problem;
  std::string run_api_ca;  ///< PEM; empty until the certificate is there
};

/// What the operator's configuration says about tasks.
struct TaskSettings {
  control::Config config;
  std::string run_api_url;  ///< as pods reach it
};

/// Whether the spec asks for a run that the record does not have yet. A token that was taken away again asks
/// for nothing.
bool WantsNewRun(const Snapshot& snapshot);

/// Whether the spec was edited while its run waits for its first turn: the run follows it.
bool WantsEdit(const Snapshot& snapshot);

/// The reason of a hold while spec.suspend is true.
inline constexpr char kSuspended[] = "Suspended";

/// Whether the run, never claimed, is held for what FindRejection found: it is asked again, all of it.
bool HeldForRefusal(const Snapshot& snapshot);

/// Views of objects from the API server; what is absent or of a wrong type reads as empty.
JobView ViewJob(const nlohmann::json& job);
PodView ViewPod(const nlohmann::json& pod, TimePoint now);

/// Whether the object's metadata has that label with that value.
bool HasLabel(const nlohmann::json& object, std::string_view label, const std::string& value);

/// The Job of a run: a function of (task UID, run number), since the run's id is.
std::string JobName(const std::string& run_id);

}  // namespace ybis::op
