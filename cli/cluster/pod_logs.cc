#include "cli/cluster/pod_logs.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "api/meta.h"

namespace ybis::cli {

Result<std::string> PodLogs::NewestPod(std::stop_token stop) {
  kube::ListOptions options;
  options.label_selector = fmt::format("{}={}", api::kRunIdLabel, run_id_);
  YBIS_ASSIGN(const kube::ListPage page, client_.List(kube::kPods, ns_, options, stop));
  std::string name;
  std::string newest;
  for (const kube::Object& pod : page.items) {
    // RFC 3339 in UTC: the later text is the later time.
    const std::string created = kube::MetaString(*pod, "creationTimestamp");
    if (!name.empty() && created < newest) continue;
    newest = created;
    name = kube::MetaString(*pod, "name");
  }
  return name;
}

Status PodLogs::Stream(const std::string& pod, bool follow, const Write& write, std::stop_token stop) {
  const std::string path =
      kube::ObjectPath(kube::kPods, {ns_, pod}, "log") + "?container=runner" + (follow ? "&follow=true" : "");
  return client_.StreamRaw(
      path,
      [&write](std::string_view chunk) -> Status {
        write(chunk);
        return {};
      },
      stop);
}

Status PodLogs::Copy(const Write& write, std::stop_token stop) {
  YBIS_ASSIGN(const std::string pod, NewestPod(stop));
  if (pod.empty()) return Fail(ErrorCode::kNotFound, fmt::format("run {} has no pod", run_id_));
  return Stream(pod, false, write, stop);
}

Result<bool> PodLogs::Follow(const Write& write, std::stop_token stop) {
  YBIS_ASSIGN(const std::string pod, NewestPod(stop));
  if (pod.empty() || pod == followed_) return false;
  const Status status = Stream(pod, true, write, stop);
  if (status) {
    followed_ = pod;
    return true;
  }
  // Its container is being made (400), or it went away meanwhile (404).
  const ErrorCode code = status.error().code;
  if (code == ErrorCode::kInvalid || code == ErrorCode::kNotFound) return false;
  return Fail(status.error());
}

}  // namespace ybis::cli
