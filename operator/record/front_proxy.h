#pragma once
// Who asks, when the API server passes a request on (an aggregated API): its client certificate is checked
// against the authority that it publishes, then its word for the user is taken.
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/sync.h"
#include "http/server_message.h"
#include "kube/client.h"

namespace ybis::op {

struct RemoteUser {
  std::string name;
  std::vector<std::string> groups;
  std::map<std::string, std::vector<std::string>> extra;
};

/// What kube-system/extension-apiserver-authentication says of the API server's own proxy.
struct FrontProxySettings {
  std::string authorities_pem;
  std::vector<std::string> allowed_names;  ///< common names; empty = any
  std::vector<std::string> user_headers;   ///< lower case
  std::vector<std::string> group_headers;
  std::vector<std::string> extra_prefixes;
};
/// kUnavailable when the API server publishes no authority for it (it runs without --requestheader-… flags).
Result<FrontProxySettings> ReadFrontProxySettings(const nlohmann::json& config_map);

/// Reads the settings again every minute. Thread-safe; the references must outlive it.
class FrontProxy {
 public:
  FrontProxy(kube::Reader& api, Clock& clock) : api_(api), clock_(clock) {}

  /// kDenied when the request does not come from the API server's proxy; other errors when that cannot be
  /// known.
  Result<RemoteUser> Identify(const http::Request& request, std::stop_token stop);

 private:
  struct Known {
    FrontProxySettings settings;
    TimePoint read;
  };
  Result<FrontProxySettings> Settings(std::stop_token stop);

  kube::Reader& api_;
  Clock& clock_;
  Sync<std::optional<Known>> known_;
};

}  // namespace ybis::op
