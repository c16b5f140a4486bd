#pragma once
// What is to be done about a task, as data: made by Decide, carried out by Act.
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "api/task.h"
#include "control/run_record.h"
#include "kube/events.h"
#include "kube/resource.h"

namespace ybis::op {

/// Records the task and queues a run of it.
struct SubmitRun {
  control::TaskSubmission submission;
  bool first = false;  ///< no run of it was recorded before
};

/// Gives a run that may go on its turn, if there is room.
struct AdmitRuns {};

/// Takes a run's turn or place away while nothing can start it; others may have it.
struct HoldRun {
  std::string run_id;
  std::string reason;
  std::string message;
  std::optional<std::chrono::seconds> retry_after{};  ///< none: until ReleaseRun
};

/// Queues a held run again, and gives it its turn if there is room.
struct ReleaseRun {
  std::string run_id;
};

struct CreateJob {
  std::shared_ptr<const nlohmann::json> job;
  std::string owner_uid;
  std::string run_id;
};

/// Stops the pods of a Job, or lets it go on.
struct SuspendJob {
  kube::Key key;
  std::string uid;
  bool suspend = true;
};

struct DeleteJob {
  kube::Key key;
  std::string uid;
};

/// Kills a pod at once (a second for it to give its lease back).
struct DeletePod {
  kube::Key key;
  std::string uid;
};

struct CancelRun {
  std::string run_id;
  std::string reason;
};

struct FailRun {
  std::string run_id;
  api::Failure failure;
};

/// The pod that held the run's lease has ended without a word: the run need not wait for the lease to run
/// out.
struct ReportLost {
  std::string run_id;
  std::string holder;  ///< the pod's UID
};

struct PatchStatus {
  api::TaskStatus status;
};

struct EmitEvent {
  kube::EventType type = kube::EventType::kNormal;
  std::string reason;
  std::string action;
  std::string note;
};

/// A run ended: to be counted.
struct CountOutcome {
  std::optional<api::FailureClass> failure_class;  ///< none: completed
  std::chrono::duration<double> duration{0};
};

using Action = std::variant<SubmitRun, AdmitRuns, HoldRun, ReleaseRun, CreateJob, SuspendJob, DeleteJob,
                            DeletePod, CancelRun, FailRun, ReportLost, PatchStatus, EmitEvent, CountOutcome>;

struct Plan {
  std::vector<Action> actions;  ///< in this order; the first that fails ends the plan
  std::optional<Duration> requeue_after;
  bool look_again = false;  ///< the record was changed: observe and decide once more, at once
};

}  // namespace ybis::op
