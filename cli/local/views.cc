#include "cli/local/views.h"

#include <nlohmann/json.hpp>

namespace ybis::cli {
namespace {

using control::RunRecord;
using control::RunState;
using nlohmann::json;

api::TaskPhase PhaseValue(RunState state) {
  switch (state) {
    case RunState::kQueued:
    case RunState::kDispatched:
      return api::TaskPhase::kQueued;
    case RunState::kRunning:
      return api::TaskPhase::kRunning;
    case RunState::kBlocked:
      return api::TaskPhase::kBlocked;
    case RunState::kCompleted:
      return api::TaskPhase::kCompleted;
    case RunState::kFailed:
      return api::TaskPhase::kFailed;
    case RunState::kCancelled:
      break;
  }
  return api::TaskPhase::kCancelled;
}

}  // namespace

std::string PhaseOf(std::string_view run_state) {
  return std::string(run_state == "Dispatched" ? "Queued" : run_state);
}

api::TaskStatus StatusOf(const RunRecord& run) {
  api::TaskStatus status;
  status.phase = PhaseValue(run.state);
  status.run = api::RunStatus{.id = run.run_id,
                              .number = run.number,
                              .attempt = run.attempt,
                              .node = run.node,
                              .start_time = run.started,
                              .completion_time = run.finished};
  status.result = run.result;
  status.verification = run.verification;
  status.usage = run.usage;
  status.artifacts = run.artifacts;
  status.failure = run.failure;
  return status;
}

json TaskObject(const control::TaskSummary& task, const api::TaskSpec& spec, const api::TaskStatus& status) {
  return {{"apiVersion", std::string(api::kApiVersion)},
          {"kind", "YbisTask"},
          {"metadata",
           {{"name", task.name},
            {"namespace", task.namespace_name},
            {"uid", task.uid},
            {"creationTimestamp", FormatRfc3339(task.created)}}},
          {"spec", api::ToJson(spec)},
          {"status", api::ToJson(status)}};
}

}  // namespace ybis::cli
