#include "cli/wait_view.h"

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/json.h"
#include "cli/views.h"

namespace ybis::cli {
namespace {

using nlohmann::json;

constexpr int kMaxDiffLines = 200;
constexpr size_t kWidth = 160;

void Line(std::ostream& out, std::string_view key, const std::string& value) {
  out << fmt::format("{:<9} {}\n", key, value);
}

/// An artifact that is an object; null with a line that says why not.
json ReadReport(std::ostream& out, Backend& backend, const TaskView& task, const std::string& name) {
  const auto text = backend.Artifact(task, name, {});
  if (!text) {
    if (text.error().code != ErrorCode::kNotFound) Line(out, name, "cannot be read: " + text.error().message);
    return nullptr;
  }
  auto report = ParseJson(*text, name);
  if (report && report->is_object()) return std::move(*report);
  Line(out, name, "cannot be read");
  return nullptr;
}

void PrintChecks(std::ostream& out, const json& verifier, const Paint& paint) {
  if (verifier.is_null()) return;
  for (const json& check : verifier.value("checks", json::array())) {
    const bool passed = check.value("passed", false);
    Line(out, "Check",
         fmt::format("{}  {}", passed ? paint.Green("passed") : paint.Red("failed"),
                     OneLine(check.value("name", ""), kWidth)));
  }
}

void PrintRules(std::ostream& out, const json& gate, const Paint& paint) {
  if (gate.is_null()) return;
  for (const json& rule : gate.value("rules", json::array())) {
    const bool passed = rule.value("passed", false);
    const std::string why = passed ? "" : "  " + OneLine(rule.value("message", ""), kWidth);
    Line(
        out, "Rule",
        fmt::format("{}  {}{}",
                    passed ? paint.Green("passed") : paint.Yellow(OneLine(rule.value("verdict", ""), kWidth)),
                    OneLine(rule.value("rule", ""), kWidth), why));
  }
}

void PrintPatch(std::ostream& out, Backend& backend, const TaskView& task, const Paint& paint) {
  const auto patch = backend.Artifact(task, "patch.diff", {});
  if (!patch) {
    const bool none = patch.error().code == ErrorCode::kNotFound;
    Line(out, "Change", none ? "nothing was changed" : "cannot be read: " + patch.error().message);
    return;
  }
  size_t end = 0;
  for (int lines = 0; lines < kMaxDiffLines && end < patch->size(); ++lines) {
    const size_t newline = patch->find('\n', end);
    end = newline == std::string::npos ? patch->size() : newline + 1;
  }
  out << "\n" << PaintedPatch(patch->substr(0, end), paint);
  const auto more = std::count(patch->begin() + static_cast<std::ptrdiff_t>(end), patch->end(), '\n');
  if (more > 0)
    out << paint.Dim(fmt::format("… {} more lines: {}", more, backend.Command()("diff " + task.name)))
        << "\n";
}

}  // namespace

std::string Capitalized(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

void PrintWait(std::ostream& out, const control::Wait& wait, TimePoint now) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(wait.expires - now);
  Line(out, "Waits",
       fmt::format(
           "at {} since {} ({} ago), {}", wait.node, FormatRfc3339(wait.since), AgeText(wait.since, now),
           left.count() > 0 ? fmt::format("until {} (in {})", FormatRfc3339(wait.expires), DurationText(left))
                            : "its time is over"));
  Line(out, "Subject", wait.subject_digest);
  Line(out, "Approvals",
       fmt::format("{} of {}{}", wait.approvers.size(), wait.required,
                   wait.approvers.empty() ? "" : fmt::format(": {}", fmt::join(wait.approvers, ", "))));
}

Status CheckShown(const TaskView& task, const std::string& patch) {
  if (!task.status.result || task.status.phase != api::TaskPhase::kBlocked) return {};
  const std::string& waits = task.status.result->patch_digest;
  if (waits.empty() || waits == Digest(patch)) return {};
  return Fail(ErrorCode::kConflict,
              fmt::format("patch.diff of run {} ({}) is not the change that waits ({}): approving would "
                          "deliver what nobody has seen. Reject or revise the run instead",
                          task.run_id(), Digest(patch), waits));
}

Status CheckShown(Backend& backend, const TaskView& task) {
  const auto patch = backend.Artifact(task, "patch.diff", {});
  if (!patch && patch.error().code != ErrorCode::kNotFound) return {};
  return CheckShown(task, patch ? *patch : std::string());
}

void PrintFacts(std::ostream& out, Backend& backend, const TaskView& task, const control::Wait& wait,
                const Paint& paint) {
  const api::TaskSpec& spec = task.spec;
  Line(out, "Task", fmt::format("{} ({}), run {}", task.name, task.uid.substr(0, 8), wait.run_id));
  Line(out, "Title", OneLine(spec.title.empty() ? spec.objective : spec.title, kWidth));
  PrintWait(out, wait, SystemClock().Now());
  Line(out, "Reason", fmt::format("{}: {}", wait.reason, OneLine(wait.message, 1024)));
  PrintChecks(out, ReadReport(out, backend, task, "verifier.json"), paint);
  PrintRules(out, ReadReport(out, backend, task, "gate.json"), paint);
  PrintPatch(out, backend, task, paint);
}

}  // namespace ybis::cli
