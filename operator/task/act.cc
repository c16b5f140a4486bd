#include "operator/task/act.h"

#include <nlohmann/json.hpp>

#include "base/log.h"

namespace ybis::op {
namespace {

using nlohmann::json;

/// What is gone already, or another object of that name by now, need not be deleted.
bool GoneAlready(const Status& status) {
  return !status &&
         (status.error().code == ErrorCode::kNotFound || status.error().code == ErrorCode::kConflict);
}

}  // namespace

/// Does one action. One instance a plan.
struct Actor::Visitor {
  ActorPorts& ports;
  const Snapshot& snapshot;
  std::stop_token stop;
  std::optional<CreateProblem> create_problem{};

  Status operator()(const SubmitRun& action) {
    const auto run = ports.records.Submit(action.submission);
    const bool from_node = !action.submission.spec.rerun_from.empty();
    if (!run && (run.error().code == ErrorCode::kInvalid ||
                 (from_node && run.error().code == ErrorCode::kNotFound))) {
      create_problem = CreateProblem{run.error().code, run.error().message, true};
      return {};
    }
    if (!run) return Fail(run.error());
    if (action.first) ports.metrics.TaskCreated();
    log::Info("run recorded", {{"task", snapshot.key.ToString()}, {"run", run->run_id}});
    return {};
  }

  Status operator()(const AdmitRuns&) {
    YBIS_TRY(ports.records.Admit());
    return {};
  }

  Status operator()(const HoldRun& action) {
    log::Info("run held", {{"task", snapshot.key.ToString()},
                           {"run", action.run_id},
                           {"reason", action.reason},
                           {"message", action.message}});
    YBIS_TRY(ports.records.HoldBack(action.run_id, action.reason, action.message, action.retry_after));
    return (*this)(AdmitRuns{});  // its place is somebody's now
  }

  Status operator()(const ReleaseRun& action) {
    YBIS_TRY(ports.records.Release(action.run_id));
    return (*this)(AdmitRuns{});
  }

  Status operator()(const CreateJob& action) {
    const kube::Key key = kube::KeyOf(*action.job);
    auto made = ports.api.Create(kube::kJobs, *action.job, stop);
    if (!made && made.error().code == ErrorCode::kExists) return Adopt(key, action);
    if (!made && (made.error().code == ErrorCode::kInvalid || made.error().code == ErrorCode::kDenied)) {
      create_problem = CreateProblem{made.error().code, made.error().message};
      return {};
    }
    if (!made) return FailIn("creating Job " + key.ToString(), made.error());
    ports.jobs.ExpectVersion(key, kube::MetaString(*made, "resourceVersion"));
    log::Info("job created",
              {{"task", snapshot.key.ToString()}, {"run", action.run_id}, {"job", key.ToString()}});
    const std::string uid = kube::MetaString(*made, "uid");
    const Status noted =
        ports.records.RecordEvent(action.run_id, "job-" + uid, "JOB_CREATED", key.ToString());
    if (!noted) log::Warn("journal entry lost", {{"run", action.run_id}, {"error", noted.error().message}});
    return {};
  }

  /// We made it and did not hear the answer, or somebody else's is in the way.
  Status Adopt(const kube::Key& key, const CreateJob& action) {
    YBIS_ASSIGN(const json there, ports.api.Get(kube::kJobs, key, stop));
    if (kube::ControllerUid(there) != action.owner_uid) {
      return Fail({ErrorCode::kExists,
                   fmt::format("Job {} is there and not this task's: delete it", key.ToString()), true});
    }
    if (!kube::MetaString(there, "deletionTimestamp").empty()) {
      return Fail(ErrorCode::kConflict,
                  fmt::format("an earlier Job {} is still being deleted", key.ToString()));
    }
    ports.jobs.ExpectVersion(key, kube::MetaString(there, "resourceVersion"));
    return {};
  }

  Status operator()(const SuspendJob& action) {
    const json patch = {{"metadata", {{"uid", action.uid}}}, {"spec", {{"suspend", action.suspend}}}};
    auto patched = ports.api.Patch(kube::kJobs, action.key, patch, {}, stop);
    if (!patched && patched.error().code == ErrorCode::kNotFound) return {};
    if (!patched) return FailIn("suspending Job " + action.key.ToString(), patched.error());
    ports.jobs.ExpectVersion(action.key, kube::MetaString(*patched, "resourceVersion"));
    return {};
  }

  Status operator()(const DeleteJob& action) {
    kube::DeleteOptions options;
    options.uid = action.uid;
    const Status status = ports.api.Delete(kube::kJobs, action.key, options, stop);
    if (GoneAlready(status)) return {};
    if (!status) return FailIn("deleting Job " + action.key.ToString(), status.error());
    ports.jobs.ExpectDeletion(action.key);
    return {};
  }

  Status operator()(const DeletePod& action) {
    kube::DeleteOptions options;
    options.uid = action.uid;
    options.grace_period_seconds = 1;
    const Status status = ports.api.Delete(kube::kPods, action.key, options, stop);
    if (status || GoneAlready(status)) return {};
    // Without that right the pod goes with its Job, only later.
    if (status.error().code == ErrorCode::kDenied) return {};
    return FailIn("deleting Pod " + action.key.ToString(), status.error());
  }

  Status operator()(const CancelRun& action) {
    log::Info("run cancelled",
              {{"task", snapshot.key.ToString()}, {"run", action.run_id}, {"reason", action.reason}});
    return ports.records.Cancel(action.run_id, action.reason);
  }

  Status operator()(const FailRun& action) {
    log::Info("run ended from outside", {{"task", snapshot.key.ToString()},
                                         {"run", action.run_id},
                                         {"reason", action.failure.reason},
                                         {"message", action.failure.message}});
    return ports.records.Fail(action.run_id, action.failure);
  }

  Status operator()(const ReportLost& action) {
    return ports.lost.HolderLost(action.run_id, action.holder, stop);
  }

  Status operator()(const PatchStatus& action) {
    const json body = {
        {"apiVersion", api::kApiVersion},
        {"kind", "YbisTask"},
        {"metadata",
         {{"name", snapshot.key.name}, {"namespace", snapshot.key.ns}, {"uid", snapshot.task.meta.uid}}},
        {"status", api::ToJson(action.status)}};
    kube::PatchOptions options;
    options.type = kube::PatchType::kApply;
    options.subresource = "status";
    options.field_manager = kFieldManager;
    options.force = true;
    auto patched = ports.api.Patch(kube::kTasks, snapshot.key, body, options, stop);
    if (!patched && patched.error().code == ErrorCode::kNotFound) return {};
    if (!patched) return FailIn("writing the status of task " + snapshot.key.ToString(), patched.error());
    ports.tasks.ExpectVersion(snapshot.key, kube::MetaString(*patched, "resourceVersion"));
    return {};
  }

  Status operator()(const EmitEvent& action) {
    ports.events.Record(*snapshot.object, action.type, action.reason, action.action, action.note);
    return {};
  }

  Status operator()(const CountOutcome& action) {
    if (action.failure_class) {
      ports.metrics.TaskFailed(*action.failure_class, action.duration);
    } else {
      ports.metrics.TaskCompleted(action.duration);
    }
    return {};
  }
};

Result<std::optional<CreateProblem>> Actor::Act(const Snapshot& snapshot, const Plan& plan,
                                                std::stop_token stop) {
  Visitor visitor{ports_, snapshot, stop};
  for (const Action& action : plan.actions) {
    if (stop.stop_requested()) return Fail(ErrorCode::kCancelled, "stopping");
    YBIS_TRY(std::visit(visitor, action));
    if (visitor.create_problem) break;
  }
  return visitor.create_problem;
}

}  // namespace ybis::op
