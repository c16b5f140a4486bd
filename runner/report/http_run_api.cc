#include "runner/report/http_run_api.h"

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "http/status.h"
#include "http/url.h"

namespace ybis::runner {
namespace {

using nlohmann::json;

constexpr size_t kMaxTokenBytes = 64 * 1024;
/// A checkpoint carries a patch; the rest is small.
constexpr JsonLimits kAnswerLimits{.max_bytes = 64 * 1024 * 1024, .max_depth = 128};

ErrorCode CodeFromName(std::string_view name, ErrorCode fallback) {
  for (int code = 0; code <= static_cast<int>(ErrorCode::kInternal); ++code) {
    if (ToString(static_cast<ErrorCode>(code)) == name) return static_cast<ErrorCode>(code);
  }
  return fallback;
}

/// {"error":{"code","message","retryable"}}; what is not of that form (a proxy's page) is judged by its
/// status.
Error ErrorOf(const http::ClientResponse& response, const std::string& what) {
  Error error =
      Fail(http::CodeOfStatus(response.status), fmt::format("{}: HTTP {}", what, response.status)).value();
  error.retry_after = response.RetryAfter();
  const auto body = ParseJson(response.body, what, {.max_bytes = 64 * 1024, .max_depth = 8});
  if (!body || !body->is_object() || !body->contains("error") || !(*body)["error"].is_object()) return error;
  ObjectReader reader((*body)["error"], "error");
  error.code = CodeFromName(reader.String("code"), error.code);
  error.message = fmt::format("{}: {}", what, reader.String("message", error.message));
  error.retryable = reader.Bool("retryable", error.retryable);
  if (error.code == ErrorCode::kStale) error.retryable = false;
  return error;
}

}  // namespace

HttpRunApi::HttpRunApi(RunApiSettings settings, http::Transport& transport, Clock& clock)
    : settings_(std::move(settings)), transport_(transport), clock_(clock) {
  while (settings_.base_url.ends_with('/')) settings_.base_url.pop_back();
}

HttpRunApi::Call HttpRunApi::Post(std::string path, const json& body) const {
  return {.path = std::move(path),
          .body = DumpJson(body),
          .timeout = settings_.call_timeout,
          .bound = settings_.retry.bound,
          .answered_bound = settings_.answered_bound};
}

Result<std::string> HttpRunApi::Once(const Call& call, std::stop_token stop, bool& answered) {
  answered = false;
  YBIS_ASSIGN(std::string token, ReadFile(settings_.token_file, kMaxTokenBytes));
  token.erase(token.find_last_not_of(" \r\n\t") + 1);
  log::RegisterSecret(token);
  http::ClientRequest request;
  request.method = call.method;
  request.url =
      fmt::format("{}/v1/runs/{}/{}", settings_.base_url, http::EncodeComponent(settings_.run_id), call.path);
  request.headers = {{"Authorization", "Bearer " + token}};
  if (!call.body.empty()) request.headers["Content-Type"] = call.content_type;
  request.body = call.body;
  request.timeout = call.timeout;
  request.pooled = call.pooled;
  YBIS_ASSIGN(http::ClientResponse response, transport_.Send(request, std::move(stop)));
  answered = true;
  if (response.status >= 200 && response.status < 300) return std::move(response.body);
  return Fail(ErrorOf(response, fmt::format("Run API {}", call.path.substr(0, call.path.find('?')))));
}

/// Two bounds: one for silence (the core restarts), a shorter one for answers that say "later". A denied
/// token is tried again for a short while, since it may have been rotated between reading and checking.
Result<std::string> HttpRunApi::Send(const Call& call, std::stop_token stop) {
  Backoff backoff(settings_.retry);
  const TimePoint start = clock_.Now();
  std::optional<TimePoint> first_answer;
  for (int denials = 0;;) {
    bool answered = false;
    Result<std::string> result = Once(call, stop, answered);
    if (result) return result;
    Error& error = result.error();
    if (error.code == ErrorCode::kDenied && ++denials <= 3) error.retryable = true;
    if (stop.stop_requested()) return Fail(ErrorCode::kCancelled, "stopped: " + error.message);
    if (!error.retryable) return result;
    // A model call waits long for its answer: "later" from a core that stops must not come too late to help.
    if (answered && !first_answer) first_answer = clock_.Now();
    TimePoint until = start + call.bound;
    if (answered) until = std::min(until, *first_answer + call.answered_bound);
    const Duration wait = backoff.Next(error.retry_after);
    if (clock_.Now() + wait > until) return result;
    log::Warn("Run API call failed, trying again", {{"call", call.path}, {"error", error.message}});
    if (!clock_.SleepFor(wait, stop)) return Fail(ErrorCode::kCancelled, "stopped: " + error.message);
  }
}

Result<json> HttpRunApi::SendJson(const Call& call, std::stop_token stop) {
  YBIS_ASSIGN(const std::string body, Send(call, std::move(stop)));
  return ParseJson(body, "Run API " + call.path, kAnswerLimits);
}

Result<api::ClaimResponse> HttpRunApi::Claim(const api::ClaimRequest& request, std::stop_token stop) {
  Call call = Post("claim", api::ToJson(request));
  call.answered_bound = call.bound;  // an earlier attempt's lease may have to end first
  YBIS_ASSIGN(const json answer, SendJson(call, std::move(stop)));
  return api::ParseClaimResponse(answer);
}

Result<api::HeartbeatResponse> HttpRunApi::Heartbeat(const api::HeartbeatRequest& request,
                                                     std::stop_token stop) {
  Call call = Post("heartbeat", api::ToJson(request));
  call.bound = Duration(0);
  YBIS_ASSIGN(const json answer, SendJson(call, std::move(stop)));
  return api::ParseHeartbeatResponse(answer);
}

Status HttpRunApi::ReportNode(const api::NodeReport& report, std::stop_token stop) {
  YBIS_TRY(Send(Post("nodes", api::ToJson(report)), std::move(stop)));
  return {};
}

Status HttpRunApi::RecordEvent(const api::EventReport& report, std::stop_token stop) {
  YBIS_TRY(Send(Post("events", api::ToJson(report)), std::move(stop)));
  return {};
}

Result<api::ArtifactRef> HttpRunApi::PutArtifact(int64_t epoch, const std::string& name,
                                                 const std::string& bytes, std::stop_token stop) {
  Call call{.method = "PUT",
            .path = fmt::format("artifacts/{}?epoch={}", http::EncodeComponent(name), epoch),
            .body = bytes,
            .content_type = "application/octet-stream",
            .timeout = settings_.call_timeout,
            .bound = settings_.retry.bound,
            .answered_bound = settings_.answered_bound};
  YBIS_ASSIGN(const json answer, SendJson(call, std::move(stop)));
  return api::ParseArtifactRef(answer);
}

Result<std::string> HttpRunApi::GetArtifact(const std::string& name, std::stop_token stop) {
  return Send({.method = "GET",
               .path = "artifacts/" + http::EncodeComponent(name),
               .timeout = settings_.call_timeout,
               .bound = settings_.retry.bound,
               .answered_bound = settings_.answered_bound},
              std::move(stop));
}

Result<api::ModelResponse> HttpRunApi::CallModel(const api::ModelRequest& request, std::stop_token stop) {
  Call call = Post("model", api::ToJson(request));
  call.timeout = settings_.model_timeout;
  call.bound = std::max(call.bound, settings_.model_timeout);
  call.answered_bound = settings_.model_answered_bound;
  call.pooled = false;
  YBIS_ASSIGN(const json answer, SendJson(call, std::move(stop)));
  return api::ParseModelResponse(answer);
}

Status HttpRunApi::Finish(const api::FinishReport& report, std::stop_token stop) {
  YBIS_TRY(Send(Post("finish", api::ToJson(report)), std::move(stop)));
  return {};
}

Status HttpRunApi::Release(const api::ReleaseReport& report, std::stop_token stop) {
  YBIS_TRY(Send(Post("release", api::ToJson(report)), std::move(stop)));
  return {};
}

}  // namespace ybis::runner
