#include "operator/record/record_access.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "control/record_json.h"

namespace ybis::op {
namespace {

constexpr auto kKeepYes = std::chrono::seconds(10);
constexpr auto kKeepNo = std::chrono::seconds(2);
constexpr size_t kMaxAnswers = 4096;

kube::AccessQuestion QuestionOf(const RemoteUser& user, const RecordQuestion& question) {
  kube::AccessQuestion out;
  out.user = user.name;
  out.groups = user.groups;
  out.extra = user.extra;
  out.verb = "get";
  out.group = control::kRecordGroup;
  out.resource = "runs";
  out.subresource = question.part;
  out.ns = question.ns;
  out.name = question.run_id;
  return out;
}

std::string KeyOf(const kube::AccessQuestion& q) {
  return DumpJson({q.user, q.groups, q.extra, q.subresource, q.ns, q.name});
}

}  // namespace

Status RecordAccess::MayRead(const RemoteUser& user, const RecordQuestion& question, std::stop_token stop) {
  const kube::AccessQuestion asked = QuestionOf(user, question);
  const std::string key = KeyOf(asked);
  const TimePoint now = clock_.Now();
  std::optional<bool> allowed;
  if (auto answers = answers_.Lock(); answers->contains(key) && (*answers)[key].until > now)
    allowed = (*answers)[key].allowed;
  if (!allowed) {
    YBIS_ASSIGN(allowed, reviewer_.May(asked, std::move(stop)));
    auto answers = answers_.Lock();
    std::erase_if(*answers, [now](const auto& entry) { return entry.second.until <= now; });
    if (answers->size() < kMaxAnswers)
      (*answers)[key] = {*allowed, now + (*allowed ? Duration(kKeepYes) : Duration(kKeepNo))};
  }
  if (*allowed) return {};
  const std::string resource = question.part.empty() ? "runs" : "runs/" + question.part;
  return Fail(ErrorCode::kDenied,
              fmt::format("runs.{} \"{}\" is forbidden: User \"{}\" cannot get resource \"{}\" in API group "
                          "\"{}\" in the namespace \"{}\"",
                          control::kRecordGroup, question.run_id, user.name, resource, control::kRecordGroup,
                          question.ns));
}

}  // namespace ybis::op
