// TokenReview: who is behind a bearer token that somebody showed us.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "kube/client.h"

namespace ybis::kube {
namespace {

using nlohmann::json;

const json& Member(const json& object, const char* field) {
  static const json kNone;
  if (!object.is_object()) return kNone;
  const auto found = object.find(field);
  return found == object.end() ? kNone : *found;
}

std::string Text(const json& value) { return value.is_string() ? value.get<std::string>() : std::string(); }

std::vector<std::string> Texts(const json& array) {
  std::vector<std::string> texts;
  if (!array.is_array()) return texts;
  for (const json& item : array) {
    if (item.is_string()) texts.push_back(item.get<std::string>());
  }
  return texts;
}

std::string FirstText(const json& array) {
  const auto texts = Texts(array);
  return texts.empty() ? std::string() : texts.front();
}

/// "system:serviceaccount:<namespace>:<name>" taken apart.
void SplitServiceAccount(TokenIdentity& identity) {
  constexpr std::string_view kPrefix = "system:serviceaccount:";
  if (!identity.username.starts_with(kPrefix)) return;
  const std::string rest = identity.username.substr(kPrefix.size());
  const size_t colon = rest.find(':');
  if (colon == std::string::npos) return;
  identity.ns = rest.substr(0, colon);
  identity.service_account = rest.substr(colon + 1);
}

TokenIdentity ReadIdentity(const json& status, const std::vector<std::string>& wanted) {
  TokenIdentity identity;
  const json& user = Member(status, "user");
  const json& extra = Member(user, "extra");
  identity.error = Text(Member(status, "error"));
  identity.username = Text(Member(user, "username"));
  identity.uid = Text(Member(user, "uid"));
  identity.groups = Texts(Member(user, "groups"));
  identity.audiences = Texts(Member(status, "audiences"));
  identity.pod_name = FirstText(Member(extra, "authentication.kubernetes.io/pod-name"));
  identity.pod_uid = FirstText(Member(extra, "authentication.kubernetes.io/pod-uid"));
  SplitServiceAccount(identity);
  const bool audience_fits =
      wanted.empty() || std::any_of(wanted.begin(), wanted.end(), [&](const std::string& audience) {
        return std::find(identity.audiences.begin(), identity.audiences.end(), audience) !=
               identity.audiences.end();
      });
  identity.authenticated = Member(status, "authenticated") == true && audience_fits;
  if (!audience_fits && identity.error.empty()) identity.error = "the token is not meant for us";
  return identity;
}

}  // namespace

Result<TokenIdentity> KubeClient::Review(std::string_view token, const std::vector<std::string>& audiences,
                                         std::stop_token stop) {
  const json review = {{"apiVersion", kTokenReviews.ApiVersion()},
                       {"kind", kTokenReviews.kind},
                       {"spec", {{"token", token}, {"audiences", audiences}}}};
  YBIS_ASSIGN(const json answer, PostReview(kTokenReviews, review, stop));
  return ReadIdentity(Member(answer, "status"), audiences);
}

}  // namespace ybis::kube
