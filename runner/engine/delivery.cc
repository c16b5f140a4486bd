#include "runner/engine/delivery.h"

#include <re2/re2.h>

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/utf8.h"
#include "runner/git/ref_name.h"
#include "runner/report/retry.h"

namespace ybis::runner {
namespace {

using nlohmann::json;
constexpr FaultSource kGit = FaultSource::kRepository;

TimePoint ApprovedAt(const api::Checkpoint& checkpoint) {
  const auto it = checkpoint.state->find("approvedAt");
  if (it == checkpoint.state->end() || !it->is_string()) return {};
  return ParseRfc3339(it->get<std::string>()).value_or(TimePoint{});
}

/// The first line of a text, at most 72 bytes, without control characters.
std::string Subject(const std::string& text) {
  std::string line = text.substr(0, text.find('\n'));
  std::erase_if(line, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (line.size() <= 72) return line;
  size_t end = line.rfind(' ', 72);
  if (end == std::string::npos || end < 40) end = CutAtCharacter(line, 72).size();
  return line.substr(0, end);
}

/// A model's text for the message's body: without control characters, and without lines that read like the
/// ones in which the runner tells whose the change is and who approved it.
std::string Body(const std::string& text) {
  static const RE2 kOwnLine(R"((?i)^\s*ybis-[a-z-]+\s*:)");
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    std::erase_if(line, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
    if (!RE2::PartialMatch(line, kOwnLine)) out += line + '\n';
    at = end + 1;
  }
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

/// Another runner may have taken over while this one slept: ask before what cannot be taken back.
Outcome<void> ProveLease(RunApi& api, Clock& clock, int64_t epoch, std::stop_token stop) {
  const auto beat = Retry<api::HeartbeatResponse>(
      {}, clock, stop, [&] { return api.Heartbeat({.epoch = epoch, .node = "deliver"}, stop); });
  if (!beat) return FaultUnexpected(FaultOf(FaultSource::kRunApi, beat.error()));
  if (beat->cancel) return FaultUnexpected(Fault{FaultKind::kStop, {.message = "cancelled"}});
  return {};
}

}  // namespace

std::string DeliveryBranch(const api::RunOrder& order) {
  if (!order.spec.delivery.branch.empty()) return order.spec.delivery.branch;
  return fmt::format("ybis/{}-{}", order.task_name, order.run_id);
}

std::string CommitMessage(const api::RunOrder& order, const api::Checkpoint& checkpoint) {
  std::string message = Subject(order.spec.title.empty() ? order.spec.objective : order.spec.title) + "\n\n";
  const json plan = checkpoint.state->value("planner", json::object());
  const std::string summary = Body(plan.is_object() ? plan.value("summary", std::string()) : "");
  if (!summary.empty()) message += summary + "\n\n";
  message +=
      fmt::format("Ybis-Task: {}/{}\nYbis-Run: {}\n", order.task_namespace, order.task_name, order.run_id);
  const json approval = checkpoint.state->value(json::json_pointer("/@run/approval"), json::object());
  for (const json& approver : approval.value("approvers", json::array())) {
    if (approver.is_string())
      message += fmt::format("Ybis-Approved-By: {}\n", Subject(approver.get<std::string>()));
  }
  return message;
}

Outcome<Delivered> Deliver(const api::RunOrder& order, const api::Checkpoint& checkpoint, git::Worktree& tree,
                           RunApi& api, Journal& journal, Clock& clock, int64_t epoch, std::stop_token stop) {
  Delivered out{.branch = DeliveryBranch(order)};
  YBIS_TRY_FAULT(kGit, git::CheckBranchName(out.branch));
  const git::Signature who{.name = "YBIS", .email = "runner@ybis.dev", .time = ApprovedAt(checkpoint)};
  YBIS_ASSIGN_FAULT(kGit, out.commit,
                    tree.Commit({.message = CommitMessage(order, checkpoint),
                                 .author = who,
                                 .committer = who,
                                 .patch = checkpoint.patch},
                                stop));
  YBIS_PASS(ProveLease(api, clock, epoch, stop));
  YBIS_ASSIGN_FAULT(kGit, const git::PushResult pushed,
                    tree.Push(out.commit, out.branch, std::nullopt, stop));
  YBIS_PASS(journal.Event(
      "pushed:" + out.commit, "BRANCH_PUSHED", fmt::format("branch {} is at {}", out.branch, out.commit),
      {{"branch", out.branch}, {"commit", out.commit}, {"alreadyThere", pushed.already_there}}, stop));
  return out;
}

}  // namespace ybis::runner
