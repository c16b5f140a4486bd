#include "operator/task/waiting.h"

#include <fmt/format.h>
#include "base/utf8.h"

namespace ybis::op {
namespace {

constexpr size_t kMaxWhy = 600;  // leaves room in a condition's text for what to do

std::string Why(const control::Wait& wait) {
  std::string why = wait.message.empty() ? "a person is asked to decide" : wait.message;
  if (why.size() <= kMaxWhy) return why;
  return std::string(CutAtCharacter(why, kMaxWhy)) + "...";
}

std::string Missing(const control::Wait& wait) {
  if (wait.required <= 1) return "waits for a person";
  return fmt::format("{} of {} approvals", wait.approvers.size(), wait.required);
}

}  // namespace

bool ShownAsWaiting(const api::Task& task) {
  const api::Condition* condition = api::FindCondition(task.status.conditions, "AwaitingApproval");
  return condition != nullptr && condition->status == "True";
}

std::string HowToDecide(const api::Task& task, const control::Wait& wait) {
  return fmt::format(
      "{} ({}, until {}). `kubectl ybis approve {} -n {}` shows the change and asks; so do reject and "
      "revise. "
      "Or make a YbisApproval for run {} with the digest of status.approval",
      Why(wait), Missing(wait), FormatRfc3339(wait.expires), task.meta.name, task.meta.namespace_name,
      wait.run_id);
}

std::string Reminder(const control::Wait& wait, TimePoint now) {
  const auto minutes = std::chrono::floor<std::chrono::minutes>(now - wait.since).count();
  return fmt::format("run {} {} after {} minutes, until {}: {}", wait.run_id,
                     wait.required <= 1 ? "still waits for a person" : "still has " + Missing(wait), minutes,
                     FormatRfc3339(wait.expires), Why(wait));
}

}  // namespace ybis::op
