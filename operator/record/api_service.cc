#include "operator/record/api_service.h"

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/log.h"
#include "control/record_json.h"

namespace ybis::op {

using nlohmann::json;

Status EnsureApiService(kube::Api& api, const kube::Key& service, const std::string& authority_pem,
                        std::stop_token stop) {
  if (authority_pem.empty()) return Fail(ErrorCode::kUnavailable, "apiservice: no authority yet");
  const kube::Key key{"", fmt::format("{}.{}", control::kRecordVersion, control::kRecordGroup)};
  const auto found = api.Get(kube::kApiServices, key, stop);
  if (!found) {
    const ErrorCode code = found.error().code;
    // No such object, or no right to look: the chart's value is off, or another release serves it.
    if (code == ErrorCode::kNotFound || code == ErrorCode::kDenied) return {};
    return Fail(found.error());
  }
  const json spec = found->value("spec", json::object());
  const json named = spec.value("service", json::object());
  if (named.value("name", "") != service.name || named.value("namespace", "") != service.ns) return {};
  const std::string bundle = Base64Encode(authority_pem);
  if (spec.value("caBundle", "") == bundle) return {};
  const json patch = {{"spec", {{"caBundle", bundle}}}};
  const auto patched = api.Patch(kube::kApiServices, key, patch, {}, std::move(stop));
  if (!patched) return Fail(patched.error());
  log::Info("the record's APIService trusts this operator", {{"apiservice", key.name}});
  return {};
}

}  // namespace ybis::op
