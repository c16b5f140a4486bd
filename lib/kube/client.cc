#include "kube/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "http/url.h"
#include "kube/retry.h"
#include "kube/watch_decoder.h"
#include "kube/wire.h"

namespace ybis::kube {
namespace {

using nlohmann::json;
constexpr size_t kMaxErrorBytes = 64 * 1024;
constexpr const char* kJsonType = "application/json";

std::string WithQuery(const std::string& path, const std::map<std::string, std::string>& parameters) {
  const std::string query = http::EncodeQuery(parameters);
  return query.empty() ? path : path + "?" + query;
}

const char* ContentType(PatchType type) {
  switch (type) {
    case PatchType::kMerge:
      return "application/merge-patch+json";
    case PatchType::kApply:
      return "application/apply-patch+yaml";
    case PatchType::kJson:
      return "application/json-patch+json";
  }
  return kJsonType;
}

/// A key that cannot stand for one object must not become the path of a whole collection, or of another
/// resource.
Status CheckKey(const Resource& resource, const Key& key) {
  if (key.name.empty() || key.name == "." || key.name == "..") {
    return Fail(ErrorCode::kInvalid, fmt::format("{}: metadata.name is missing", resource.plural));
  }
  if (resource.namespaced && key.ns.empty()) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("{} {}: metadata.namespace is missing", resource.plural, key.name));
  }
  return {};
}

Result<ListPage> ReadPage(const Resource& resource, json list) {
  if (!list.contains("items") || !(list["items"].is_array() || list["items"].is_null())) {
    return Fail(ErrorCode::kInvalid, fmt::format("list of {}: items is not an array", resource.plural));
  }
  ListPage page;
  page.resource_version = MetaString(list, "resourceVersion");
  page.continue_token = MetaString(list, "continue");
  for (json& item : list["items"]) {
    if (KeyOf(item).name.empty()) {
      return Fail(ErrorCode::kInvalid,
                  fmt::format("list of {}: an item has no metadata.name", resource.plural));
    }
    item["apiVersion"] = resource.ApiVersion();  // items of built-in lists come without
    item["kind"] = resource.kind;
    page.items.push_back(std::make_shared<const json>(std::move(item)));
  }
  return page;
}

}  // namespace

/// One request as the callers above the wire see it.
struct KubeClient::Call {
  std::string method;
  std::string path;  ///< with the query
  std::string body = {};
  std::string content_type = kJsonType;
  bool repeatable = false;  ///< may be sent again when it is not known whether it arrived
  size_t max_bytes = 8 * 1024 * 1024;
  bool is_watch = false;

  std::string What() const {
    return fmt::format("{} {}", is_watch ? "WATCH" : method, path.substr(0, path.find('?')));
  }
};

KubeClient::KubeClient(http::Transport& transport, Connection connection, Clock& clock,
                       ClientSettings settings)
    : transport_(transport),
      connection_(std::move(connection)),
      clock_(clock),
      settings_(std::move(settings)) {
  if (const auto url = http::ParseUrl(connection_.server)) host_ = fmt::format("{}:{}", url->host, url->port);
}

KubeClient::~KubeClient() = default;

std::unique_ptr<KubeClient> KubeClient::Make(Connection connection, Clock& clock, ClientSettings settings) {
  http::ClientSettings http_settings{connection.tls, settings.user_agent};
  auto transport = std::make_unique<http::Client>(std::move(http_settings));
  auto client = std::make_unique<KubeClient>(*transport, std::move(connection), clock, std::move(settings));
  client->owned_transport_ = std::move(transport);
  return client;
}

std::map<std::string, std::string> KubeClient::Validation() const {
  return {{"fieldValidation", settings_.field_validation}};
}

void KubeClient::Count(std::string_view method, std::string_view code) const {
  if (settings_.on_request) settings_.on_request(method, host_, code);
}

Result<http::ClientRequest> KubeClient::Prepare(const Call& call, std::stop_token stop) {
  http::ClientRequest request;
  request.method = call.method;
  request.url = connection_.server + call.path;
  request.body = call.body;
  request.timeout = settings_.timeout;
  request.max_response_bytes = call.max_bytes;
  // As kubectl: an object as JSON, and a log as it is.
  request.headers = {{"Accept", "application/json, */*"}, {"User-Agent", settings_.user_agent}};
  if (!call.body.empty()) request.headers["Content-Type"] = call.content_type;
  if (connection_.token) {
    YBIS_ASSIGN(const std::string token, connection_.token->Token(stop));
    if (!token.empty()) request.headers["Authorization"] = "Bearer " + token;
  }
  return request;
}

Result<http::ClientResponse> KubeClient::Once(const Call& call, std::stop_token stop) {
  YBIS_ASSIGN(const http::ClientRequest request, Prepare(call, stop));
  auto response = transport_.Send(request, stop);
  Count(call.method, response ? std::to_string(response->status) : "<error>");
  if (!response) return Fail(std::move(response).error());
  if (response->status >= 200 && response->status < 300) return response;
  if (response->status == 401 && connection_.token) connection_.token->Refused();
  Error error = ErrorFromResponse(call.What(), *response);
  if (response->status == 401) error.retryable = connection_.token != nullptr;  // a fresh token may do
  return Fail(std::move(error));
}

Result<http::ClientResponse> KubeClient::Execute(const Call& call, std::stop_token stop) {
  bool renewed = false;
  for (int attempt = 0;; ++attempt) {
    auto response = Once(call, stop);
    if (response) return response;
    Error error = std::move(response).error();
    if (error.code == ErrorCode::kDenied && error.retryable && !renewed) {
      renewed = true;
      continue;
    }
    if (error.code == ErrorCode::kDenied) error.retryable = false;
    const bool throttled = error.code == ErrorCode::kExhausted;
    const bool broken = error.code == ErrorCode::kUnavailable && call.repeatable;
    if (attempt >= settings_.max_retries || !(throttled || broken)) return Fail(std::move(error));
    const auto wait = RetryWait(attempt, error.retry_after);
    if (wait > settings_.max_retry_wait) return Fail(std::move(error));
    if (!clock_.SleepFor(wait, stop)) return Fail(ErrorCode::kCancelled, call.What() + ": stopped");
  }
}

Result<json> KubeClient::ExecuteJson(const Call& call, std::stop_token stop) {
  YBIS_ASSIGN(const http::ClientResponse response, Execute(call, stop));
  YBIS_ASSIGN(json object, ParseWire(response.body, call.What()));
  if (!object.is_object()) return Fail(ErrorCode::kInvalid, call.What() + ": the answer is not an object");
  return object;
}

Result<json> KubeClient::Get(const Resource& resource, const Key& key, std::stop_token stop) {
  YBIS_TRY(CheckKey(resource, key));
  return ExecuteJson({.method = "GET",
                      .path = ObjectPath(resource, key),
                      .repeatable = true,
                      .max_bytes = settings_.max_object_bytes},
                     stop);
}

Result<ListPage> KubeClient::List(const Resource& resource, std::string_view ns, const ListOptions& options,
                                  std::stop_token stop) {
  const std::map<std::string, std::string> query = {{"labelSelector", options.label_selector},
                                                    {"fieldSelector", options.field_selector},
                                                    {"limit", std::to_string(options.limit)},
                                                    {"continue", options.continue_token},
                                                    {"resourceVersion", options.resource_version}};
  YBIS_ASSIGN(json list, ExecuteJson({.method = "GET",
                                      .path = WithQuery(CollectionPath(resource, ns), query),
                                      .repeatable = true,
                                      .max_bytes = settings_.max_list_bytes},
                                     stop));
  return ReadPage(resource, std::move(list));
}

Result<json> KubeClient::Create(const Resource& resource, const json& object, std::stop_token stop) {
  const Key key = KeyOf(object);
  YBIS_TRY(CheckKey(resource, key));
  return ExecuteJson({.method = "POST",
                      .path = WithQuery(CollectionPath(resource, key.ns), Validation()),
                      .body = DumpJson(object),
                      .max_bytes = settings_.max_object_bytes},
                     stop);
}

Result<json> KubeClient::Replace(const Resource& resource, const json& object, std::stop_token stop) {
  const Key key = KeyOf(object);
  YBIS_TRY(CheckKey(resource, key));
  return ExecuteJson({.method = "PUT",
                      .path = WithQuery(ObjectPath(resource, key), Validation()),
                      .body = DumpJson(object),
                      .max_bytes = settings_.max_object_bytes},
                     stop);
}

Result<json> KubeClient::Patch(const Resource& resource, const Key& key, const json& patch,
                               const PatchOptions& options, std::stop_token stop) {
  YBIS_TRY(CheckKey(resource, key));
  const bool apply = options.type == PatchType::kApply;
  if (apply && options.field_manager.empty())
    return Fail(ErrorCode::kInvalid, "apply: needs a field manager");
  const std::map<std::string, std::string> query = {{"fieldManager", options.field_manager},
                                                    {"force", apply && options.force ? "true" : ""},
                                                    {"fieldValidation", settings_.field_validation}};
  return ExecuteJson({.method = "PATCH",
                      .path = WithQuery(ObjectPath(resource, key, options.subresource), query),
                      .body = DumpJson(patch),
                      .content_type = ContentType(options.type),
                      .repeatable = apply,
                      .max_bytes = settings_.max_object_bytes},
                     stop);
}

Status KubeClient::Delete(const Resource& resource, const Key& key, const DeleteOptions& options,
                          std::stop_token stop) {
  YBIS_TRY(CheckKey(resource, key));
  json body = {{"apiVersion", "v1"}, {"kind", "DeleteOptions"}, {"propagationPolicy", options.propagation}};
  if (!options.uid.empty()) body["preconditions"]["uid"] = options.uid;
  if (!options.resource_version.empty()) body["preconditions"]["resourceVersion"] = options.resource_version;
  if (options.grace_period_seconds) body["gracePeriodSeconds"] = *options.grace_period_seconds;
  const Call call{.method = "DELETE",
                  .path = ObjectPath(resource, key),
                  .body = DumpJson(body),
                  .max_bytes = settings_.max_object_bytes};
  auto response = Execute(call, stop);
  if (!response) return Fail(std::move(response).error());
  return {};
}

Status KubeClient::Watch(const Resource& resource, std::string_view ns, const WatchOptions& options,
                         const std::function<Status(WatchEvent)>& on_event, std::stop_token stop) {
  const std::map<std::string, std::string> query = {
      {"watch", "1"},
      {"allowWatchBookmarks", "true"},
      {"labelSelector", options.label_selector},
      {"fieldSelector", options.field_selector},
      {"resourceVersion", options.resource_version},
      {"timeoutSeconds", std::to_string(options.timeout.count())}};
  const Call call{.method = "GET", .path = WithQuery(CollectionPath(resource, ns), query), .is_watch = true};
  bool headed = false;
  WatchDecoder decoder(settings_.max_watch_line);
  const Status status = Stream(
      call, [&](std::string_view chunk) { return decoder.Feed(chunk, on_event); }, headed, stop);
  // Bookmarks come every minute: after a longer silence the peer may have vanished. The watch ends as if the
  // server had ended it, to be taken up again from the last version.
  if (headed && !status && status.error().code == ErrorCode::kTimeout) return {};
  return status;
}

Status KubeClient::Stream(const Call& call, const std::function<Status(std::string_view chunk)>& on_chunk,
                          bool& headed, std::stop_token stop) {
  YBIS_ASSIGN(http::ClientRequest request, Prepare(call, stop));
  request.pooled = false;  // a connection of its own: long-lived, and none of the short calls waits for it
  if (call.is_watch) request.idle_timeout = settings_.watch_silence;
  http::ClientResponse failed;
  bool answered = false;
  const http::StreamHandler handler{
      .on_head = [&](const http::ClientResponse& head) -> Status {
        answered = true;
        Count(call.method, std::to_string(head.status));
        headed = head.status == 200;
        if (!headed) failed = head;
        return {};
      },
      .on_chunk = [&](std::string_view chunk) -> Status {
        if (failed.status == 0) return on_chunk(chunk);
        failed.body.append(chunk.substr(0, kMaxErrorBytes - std::min(kMaxErrorBytes, failed.body.size())));
        return {};
      }};
  const Status status = transport_.Stream(request, handler, stop);
  if (!answered && !status) Count(call.method, "<error>");
  if (failed.status == 401 && connection_.token) connection_.token->Refused();
  if (failed.status != 0) return Fail(ErrorFromResponse(call.What(), failed));
  return status;
}

Result<json> KubeClient::PostReview(const Resource& resource, const json& review, std::stop_token stop) {
  return ExecuteJson({.method = "POST",
                      .path = CollectionPath(resource, ""),
                      .body = DumpJson(review),
                      .repeatable = true,  // reviews are questions: they store nothing
                      .max_bytes = settings_.max_object_bytes},
                     stop);
}

Result<bool> KubeClient::MayI(std::string_view verb, const Resource& resource, std::string_view ns,
                              std::stop_token stop) {
  const json review = {{"apiVersion", kSelfSubjectAccessReviews.ApiVersion()},
                       {"kind", kSelfSubjectAccessReviews.kind},
                       {"spec",
                        {{"resourceAttributes",
                          {{"verb", verb},
                           {"group", resource.group},
                           {"version", resource.version},
                           {"resource", resource.plural},
                           {"namespace", ns}}}}}};
  YBIS_ASSIGN(const json answer, PostReview(kSelfSubjectAccessReviews, review, stop));
  return answer.contains("status") && answer["status"].is_object() && answer["status"].contains("allowed") &&
         answer["status"]["allowed"] == true;
}

Result<bool> KubeClient::May(const AccessQuestion& question, std::stop_token stop) {
  const json review = {{"apiVersion", kSubjectAccessReviews.ApiVersion()},
                       {"kind", kSubjectAccessReviews.kind},
                       {"spec",
                        {{"user", question.user},
                         {"groups", question.groups},
                         {"extra", question.extra},
                         {"resourceAttributes",
                          {{"verb", question.verb},
                           {"group", question.group},
                           {"resource", question.resource},
                           {"subresource", question.subresource},
                           {"namespace", question.ns},
                           {"name", question.name}}}}}};
  YBIS_ASSIGN(const json answer, PostReview(kSubjectAccessReviews, review, stop));
  static const json::json_pointer allowed("/status/allowed");
  return answer.contains(allowed) && answer.at(allowed) == true;
}

Result<TokenIdentity> KubeClient::WhoAmI(std::stop_token stop) {
  const json review = {{"apiVersion", kSelfSubjectReviews.ApiVersion()}, {"kind", kSelfSubjectReviews.kind}};
  YBIS_ASSIGN(const json answer, PostReview(kSelfSubjectReviews, review, stop));
  static const json::json_pointer user("/status/userInfo");
  if (!answer.contains(user) || !answer.at(user).is_object())
    return Fail(ErrorCode::kInvalid, "SelfSubjectReview: status.userInfo is missing");
  ObjectReader reader(answer.at(user), "status.userInfo");
  TokenIdentity identity;
  identity.authenticated = true;
  identity.username = reader.RequiredString("username");
  identity.groups = reader.Strings("groups");
  YBIS_TRY(reader.Finish(false));
  return identity;
}

Status KubeClient::StreamRaw(std::string_view path,
                             const std::function<Status(std::string_view chunk)>& on_chunk,
                             std::stop_token stop) {
  bool headed = false;
  return Stream({.method = "GET", .path = std::string(path)}, on_chunk, headed, stop);
}

Result<std::string> KubeClient::GetRaw(std::string_view path, std::stop_token stop) {
  YBIS_ASSIGN(http::ClientResponse response, Execute({.method = "GET",
                                                      .path = std::string(path),
                                                      .repeatable = true,
                                                      .max_bytes = settings_.max_object_bytes},
                                                     stop));
  return std::move(response.body);
}

const std::string& KubeClient::DefaultNamespace() const { return connection_.default_namespace; }

}  // namespace ybis::kube
