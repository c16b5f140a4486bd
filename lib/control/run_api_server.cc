#include "control/run_api_server.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/log.h"

namespace ybis::control {
namespace {

using http::Request;
using http::Response;

constexpr size_t kMiB = 1024 * 1024;
constexpr size_t kSmallBody = kMiB;
constexpr size_t kReportBody =
    48 * kMiB;  ///< a patch of api::kMaxPatchBytes may take three times that as JSON text
constexpr size_t kModelBody = 8 * kMiB;
constexpr size_t kArtifactBody = 32 * kMiB;
constexpr size_t kMaxRunId = 128;

// A value costs many times its text: what a message needs at most, with room to spare.
constexpr size_t kSmallValues = 1'000;
constexpr size_t kReportValues = 50'000;  ///< the outputs of up to 100 nodes; a plan's has 1,000 at most
constexpr size_t kModelValues = 2'000;    ///< messages and a schema: the largest has about 100
constexpr size_t kBytesOfValue = 160;     ///< as measured of members that are objects themselves
// As measured: the body, the parser's two buffers, the value, its dump. An artifact's: the body, two copies
// on its way, and the statement's three.
constexpr size_t kCopiesOfText = 5;
constexpr size_t kCopiesOfArtifact = 6;

Response Refused(const AuthVerdict& verdict) {
  const bool unknown = verdict.kind == AuthVerdict::Kind::kUnauthenticated;
  Response response =
      http::ErrorResponse(Fail(ErrorCode::kDenied, verdict.reason).value(), unknown ? 401 : 403);
  if (unknown) response.headers["WWW-Authenticate"] = "Bearer";
  return response;
}

bool IsRunId(const std::string& text) {
  return !text.empty() && text.size() <= kMaxRunId &&
         std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_' || c == '.'; });
}

http::HeadCheck Authenticated(RunAuthenticator& auth) {
  return [&auth](const Request& request, std::stop_token stop) -> std::optional<Response> {
    const std::string run_id = request.Param("id");
    if (!IsRunId(run_id)) {
      return http::ErrorResponse(Fail(ErrorCode::kInvalid, "the path holds no run id").value());
    }
    const auto verdict = auth.Authenticate(request.BearerToken(), run_id, request.peer.address, stop);
    if (!verdict) return http::ErrorResponse(verdict.error());
    if (verdict->kind == AuthVerdict::Kind::kAllowed) return std::nullopt;
    log::Warn("a Run API request was refused",
              {{"run", run_id}, {"peer", request.peer.address}, {"why", verdict->reason}});
    return Refused(*verdict);
  };
}

/// The body as JSON, within the caps.
Result<nlohmann::json> Body(const Request& request, size_t max_values) {
  return ParseJson(request.body, "body",
                   {.max_bytes = kReportBody, .max_depth = 64, .max_values = max_values});
}

/// What a body of JSON takes while it is read and handled: its text, and the values themselves twice, as
/// parsed and as kept. No value is shorter than two bytes, its comma included.
size_t MemoryOf(size_t body, size_t max_values) {
  return kCopiesOfText * body + 2 * kBytesOfValue * std::min(max_values, body / 2);
}

Response Answer(const Status& status) {
  return status ? http::JsonResponse(nlohmann::json::object()) : http::ErrorResponse(status.error());
}

template <class T>
Response Answer(const Result<T>& result) {
  return result ? http::JsonResponse(api::ToJson(*result)) : http::ErrorResponse(result.error());
}

/// A handler that parses a message and hands it to `act(run_id, message, stop)`.
template <class Parse, class Act>
http::Handler Handle(size_t max_values, Parse parse, Act act) {
  return [max_values, parse, act](const Request& request, std::stop_token stop) {
    const auto body = Body(request, max_values);
    if (!body) return http::ErrorResponse(body.error());
    const auto message = parse(*body);
    if (!message) return http::ErrorResponse(message.error());
    return Answer(act(request.Param("id"), *message, stop));
  };
}

Result<int64_t> EpochOf(const Request& request) {
  const auto it = request.query.find("epoch");
  int64_t epoch = 0;
  const std::string text = it == request.query.end() ? std::string() : it->second;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), epoch);
  if (text.empty() || failed != std::errc() || end != text.data() + text.size() || epoch < 1) {
    return Fail(ErrorCode::kInvalid, "epoch: a whole number from 1 is required in the query");
  }
  return epoch;
}

http::Handler ClaimHandler(const RunApi& api) {
  return [&runs = api.runs, &auth = api.auth](const Request& request, std::stop_token stop) {
    const auto body = Body(request, kSmallValues);
    if (!body) return http::ErrorResponse(body.error());
    const auto claim = api::ParseClaimRequest(*body);
    if (!claim) return http::ErrorResponse(claim.error());
    // The head check has just allowed it; this asks its memory who that was.
    const auto verdict =
        auth.Authenticate(request.BearerToken(), request.Param("id"), request.peer.address, stop);
    if (!verdict) return http::ErrorResponse(verdict.error());
    if (verdict->kind != AuthVerdict::Kind::kAllowed) return Refused(*verdict);
    // Locally every process says who it is itself: the token is the run's, not one process's.
    const std::string holder = verdict->holder == "local" ? std::string() : verdict->holder;
    return Answer(runs.Claim(request.Param("id"), holder, *claim, stop));
  };
}

http::Handler PutArtifactHandler(RunService& runs) {
  return [&runs](const Request& request, std::stop_token stop) {
    const auto epoch = EpochOf(request);
    if (!epoch) return http::ErrorResponse(epoch.error());
    return Answer(runs.PutArtifact(request.Param("id"), *epoch, request.Param("name"), request.body, stop));
  };
}

http::Handler GetArtifactHandler(RunService& runs) {
  return [&runs](const Request& request, std::stop_token stop) {
    auto bytes = runs.GetArtifact(request.Param("id"), request.Param("name"), stop);
    if (!bytes) return http::ErrorResponse(bytes.error());
    return Response{200, {{"Content-Type", "application/octet-stream"}}, std::move(*bytes)};
  };
}

}  // namespace

void AddRunApi(http::Router& router, const RunApi& api) {
  RunService& runs = api.runs;
  ModelCalls& models = api.models;
  const auto options = [&api](size_t max_body, std::function<size_t(size_t)> memory = {}) {
    http::RouteOptions out;
    out.max_body = max_body;
    out.head_check = Authenticated(api.auth);
    out.memory = std::move(memory);
    return out;
  };
  const auto takes = [&options](size_t max_body, size_t max_values) {
    return options(max_body, [max_values](size_t body) { return MemoryOf(body, max_values); });
  };
  const http::RouteOptions small = takes(kSmallBody, kSmallValues);
  http::RouteOptions model = takes(kModelBody, kModelValues);
  model.long_running = true;
  const std::string run = "/v1/runs/{id}/";
  router.Add("POST", run + "claim", ClaimHandler(api), small);
  router.Add(
      "POST", run + "heartbeat",
      Handle(kSmallValues, api::ParseHeartbeatRequest,
             [&runs](const auto& id, const auto& m, auto stop) { return runs.Heartbeat(id, m, stop); }),
      small);
  router.Add(
      "POST", run + "nodes",
      Handle(kReportValues, api::ParseNodeReport,
             [&runs](const auto& id, const auto& m, auto stop) { return runs.ReportNode(id, m, stop); }),
      takes(kReportBody, kReportValues));
  router.Add(
      "POST", run + "events",
      Handle(kSmallValues, api::ParseEventReport,
             [&runs](const auto& id, const auto& m, auto stop) { return runs.RecordEvent(id, m, stop); }),
      small);
  router.Add("POST", run + "model",
             Handle(kModelValues, api::ParseModelRequest,
                    [&models](const auto& id, const auto& m, auto stop) { return models.Call(id, m, stop); }),
             model);
  router.Add("POST", run + "finish",
             Handle(kSmallValues, api::ParseFinishReport,
                    [&runs](const auto& id, const auto& m, auto stop) { return runs.Finish(id, m, stop); }),
             small);
  router.Add("POST", run + "release",
             Handle(kSmallValues, api::ParseReleaseReport,
                    [&runs](const auto& id, const auto& m, auto stop) { return runs.Release(id, m, stop); }),
             small);
  router.Add("PUT", run + "artifacts/{name}", PutArtifactHandler(runs),
             options(kArtifactBody, [](size_t body) { return kCopiesOfArtifact * body; }));
  router.Add("GET", run + "artifacts/{name}", GetArtifactHandler(runs), options(0));
}

Result<api::ClaimResponse> StoredRunService::Claim(const std::string& run_id, const std::string& holder,
                                                   const api::ClaimRequest& request, std::stop_token stop) {
  return ledger_.Claim(run_id, holder, request, stop);
}
Result<api::HeartbeatResponse> StoredRunService::Heartbeat(const std::string& run_id,
                                                           const api::HeartbeatRequest& request,
                                                           std::stop_token stop) {
  return ledger_.Heartbeat(run_id, request, stop);
}
Status StoredRunService::ReportNode(const std::string& run_id, const api::NodeReport& report,
                                    std::stop_token stop) {
  return ledger_.ReportNode(run_id, report, stop);
}
Status StoredRunService::RecordEvent(const std::string& run_id, const api::EventReport& report,
                                     std::stop_token stop) {
  return ledger_.RecordEvent(run_id, report, stop);
}
Result<api::ArtifactRef> StoredRunService::PutArtifact(const std::string& run_id, int64_t epoch,
                                                       const std::string& name, std::string bytes,
                                                       std::stop_token stop) {
  return ledger_.PutArtifact(run_id, epoch, name, std::move(bytes), stop);
}
Result<std::string> StoredRunService::GetArtifact(const std::string& run_id, const std::string& name,
                                                  std::stop_token stop) {
  return ledger_.GetArtifact(run_id, name, stop);
}
Status StoredRunService::Finish(const std::string& run_id, const api::FinishReport& report,
                                std::stop_token stop) {
  return ledger_.Finish(run_id, report, stop);
}
Status StoredRunService::Release(const std::string& run_id, const api::ReleaseReport& report,
                                 std::stop_token stop) {
  return ledger_.Release(run_id, report, stop);
}

}  // namespace ybis::control
