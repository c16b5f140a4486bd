#include "cli/local/views.h"

#include <fmt/chrono.h>

#include <nlohmann/json.hpp>

#include "cli/verb.h"

namespace ybis::cli {
namespace {

using control::RunRecord;
using control::RunState;
using nlohmann::json;

std::string ClockText(TimePoint time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  return fmt::format("{:%H:%M:%S}", fmt::localtime(seconds));
}

/// What matters of a node's small output, in words.
std::string Detail(const control::NodeSummary& node) {
  if (node.outcome != "ok") return OneLine(node.error, 120);
  if (!node.output || !node.output->is_object()) return {};
  const json& output = *node.output;
  const auto number = [&output](const char* key) { return output.value(key, int64_t{0}); };
  if (output.contains("decision")) {
    const json failure = output.value("failure", json());
    const std::string why = failure.is_object() ? failure.value("message", std::string()) : std::string();
    return output["decision"].get<std::string>() + (why.empty() ? "" : ": " + OneLine(why, 120));
  }
  if (output.contains("passed"))
    return fmt::format("{} passed, {} failed", number("passed"), number("failed"));
  if (output.contains("filesTouched")) return fmt::format("{} files touched", number("filesTouched"));
  if (output.contains("requirements")) return fmt::format("{} requirements", number("requirements"));
  return output.contains("files") ? fmt::format("{} files planned", number("files")) : std::string();
}

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

/// The folder behind a local repository's address, or "".
std::string LocalFolder(const std::string& url) {
  if (url.starts_with('/')) return url;
  return url.starts_with("file:///") ? url.substr(7) : std::string();
}

std::string NextStep(const RunRecord& run, const api::TaskSpec& spec) {
  const std::string& name = run.task_name;
  switch (run.state) {
    case RunState::kCompleted: {
      const std::string folder = LocalFolder(spec.repository.url);
      if (!run.result || run.result->branch.empty() || folder.empty()) return "ybis diff " + name;
      return fmt::format("ybis diff {}   or: git -C {} show {}", name, folder, run.result->branch);
    }
    case RunState::kBlocked:
      return fmt::format("ybis diff {0} shows the change that waits; ybis cancel {0} drops it", name);
    case RunState::kFailed:
      return fmt::format("ybis logs {0} tells more; ybis retry {0} starts it again", name);
    case RunState::kCancelled:
      return fmt::format("ybis retry {} starts it again", name);
    default:
      return "ybis worker start takes it up";
  }
}

}  // namespace

std::string PhaseOf(std::string_view run_state) {
  return std::string(run_state == "Dispatched" ? "Queued" : run_state);
}

json TaskObject(const control::TaskSummary& task, const api::TaskSpec& spec, const RunRecord& run) {
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

std::string NodeLine(const control::NodeSummary& node, size_t name_width, const Paint& paint) {
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(node.finished - node.started);
  const std::string outcome = node.outcome == "ok" ? paint.Green("ok   ") : paint.Red("error");
  return fmt::format("{}  {:<{}}  {}  {:>6}  {}", ClockText(node.finished), node.node, name_width, outcome,
                     DurationText(took), Detail(node));
}

void PrintResult(std::ostream& out, const RunRecord& run, const api::TaskSpec& spec, const Paint& paint) {
  const auto line = [&out](const char* key, const std::string& value) {
    if (!value.empty()) out << fmt::format("{:<9} {}\n", key, value);
  };
  line("Result", paint.State(PhaseOf(ToString(run.state))));
  if (run.failure)
    line("Reason", fmt::format("{}: {}", run.failure->reason, OneLine(run.failure->message, 1024)));
  if (run.result) {
    if (!run.result->branch.empty()) {
      line("Branch", fmt::format("{} (commit {})", run.result->branch, run.result->commit.substr(0, 12)));
    }
    line("Changed", fmt::format("{} files, +{} -{}", run.result->files_changed, run.result->insertions,
                                run.result->deletions));
  }
  if (run.verification) {
    line("Verified", fmt::format("{} passed, {} failed", run.verification->passed, run.verification->failed));
  }
  line("Usage", fmt::format("{} model calls, {} tokens, ${:.2f}", run.usage.llm_calls,
                            run.usage.tokens_in + run.usage.tokens_out, run.usage.cost_usd));
  if (run.started && run.finished) {
    line("Time",
         DurationText(std::chrono::duration_cast<std::chrono::milliseconds>(*run.finished - *run.started)));
  }
  line("Next", NextStep(run, spec));
}

int ExitCodeOf(RunState state) {
  if (state == RunState::kCompleted) return kExitOk;
  return state == RunState::kBlocked ? kExitBlocked : kExitFailed;
}

}  // namespace ybis::cli
