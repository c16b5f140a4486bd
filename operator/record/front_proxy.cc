#include "operator/record/front_proxy.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "http/server_router.h"
#include "http/tls_cert.h"

namespace ybis::op {
namespace {

using nlohmann::json;

const kube::Key kConfigMap{"kube-system", "extension-apiserver-authentication"};
constexpr auto kReread = std::chrono::minutes(1);

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

/// A value that is a JSON list of texts itself.
Result<std::vector<std::string>> ReadList(const json& data, const char* key) {
  const auto found = data.find(key);
  if (found == data.end()) return std::vector<std::string>();
  const std::string where = fmt::format("{}: {}", kConfigMap.ToString(), key);
  if (!found->is_string()) return Fail(ErrorCode::kInvalid, where + ": is no text");
  YBIS_ASSIGN(const json list, ParseJson(found->get<std::string>(), where));
  if (!list.is_array()) return Fail(ErrorCode::kInvalid, where + ": is no list");
  std::vector<std::string> out;
  for (const json& item : list) {
    if (item.is_string()) out.push_back(item.get<std::string>());
  }
  return out;
}

std::vector<std::string> LowerAll(std::vector<std::string> texts) {
  for (std::string& text : texts) text = Lower(std::move(text));
  return texts;
}

}  // namespace

Result<FrontProxySettings> ReadFrontProxySettings(const json& config_map) {
  const json data = config_map.is_object() ? config_map.value("data", json::object()) : json::object();
  const json authority = data.is_object() ? data.value("requestheader-client-ca-file", json()) : json();
  if (!authority.is_string() || authority.get<std::string>().empty()) {
    return Fail(ErrorCode::kUnavailable,
                fmt::format("{} holds no requestheader-client-ca-file: the API server runs without "
                            "--requestheader-client-ca-file and --proxy-client-cert-file",
                            kConfigMap.ToString()));
  }
  FrontProxySettings settings;
  settings.authorities_pem = authority.get<std::string>();
  YBIS_ASSIGN(settings.allowed_names, ReadList(data, "requestheader-allowed-names"));
  YBIS_ASSIGN(settings.user_headers, ReadList(data, "requestheader-username-headers"));
  YBIS_ASSIGN(settings.group_headers, ReadList(data, "requestheader-group-headers"));
  YBIS_ASSIGN(settings.extra_prefixes, ReadList(data, "requestheader-extra-headers-prefix"));
  settings.user_headers = LowerAll(std::move(settings.user_headers));
  settings.group_headers = LowerAll(std::move(settings.group_headers));
  settings.extra_prefixes = LowerAll(std::move(settings.extra_prefixes));
  return settings;
}

Result<FrontProxySettings> FrontProxy::Settings(std::stop_token stop) {
  const TimePoint now = clock_.Now();
  if (auto known = known_.Lock(); *known && now - (*known)->read < kReread) return (*known)->settings;
  const auto config_map = api_.Get(kube::kConfigMaps, kConfigMap, std::move(stop));
  // That we may not read it is no fault of who asks.
  if (!config_map) return Fail(ErrorCode::kUnavailable, config_map.error().message);
  YBIS_ASSIGN(FrontProxySettings settings, ReadFrontProxySettings(*config_map));
  *known_.Lock() = Known{settings, now};
  return settings;
}

Result<RemoteUser> FrontProxy::Identify(const http::Request& request, std::stop_token stop) {
  // Without a certificate nobody needs to be asked.
  if (request.peer.certificate_pem.empty()) return Fail(ErrorCode::kDenied, "no client certificate");
  YBIS_ASSIGN(const FrontProxySettings settings, Settings(std::move(stop)));
  YBIS_ASSIGN(const std::string name, http::VerifyClientCertificate(request.peer.certificate_pem,
                                                                    settings.authorities_pem, clock_.Now()));
  const auto& allowed = settings.allowed_names;
  if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), name) == allowed.end())
    return Fail(ErrorCode::kDenied,
                fmt::format("client certificate: {} is no proxy of the API server", name));
  RemoteUser user;
  for (const std::string& header : settings.user_headers) {
    const auto values = request.HeaderValues(header);
    if (values.size() > 1) return Fail(ErrorCode::kDenied, header + " was given more than once");
    if (user.name.empty() && !values.empty()) user.name = values.front();
  }
  if (user.name.empty()) return Fail(ErrorCode::kDenied, "the API server named no user");
  for (const std::string& header : settings.group_headers) {
    const auto values = request.HeaderValues(header);
    user.groups.insert(user.groups.end(), values.begin(), values.end());
  }
  for (const auto& [header, joined] : request.headers) {
    for (const std::string& prefix : settings.extra_prefixes) {
      if (!header.starts_with(prefix)) continue;
      const auto key = http::PercentDecode(header.substr(prefix.size()));
      if (key) user.extra[*key] = request.HeaderValues(header);
    }
  }
  return user;
}

}  // namespace ybis::op
