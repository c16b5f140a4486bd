#include "cli/dev_model_server.h"

#include <openssl/crypto.h>

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/json.h"
#include "base/log.h"
#include "base/sync.h"
#include "http/server.h"
#include "model/openai_wire.h"
#include "model/replay_provider.h"

namespace ybis::cli {
namespace {

using http::Request;
using http::Response;
using nlohmann::json;

constexpr size_t kMaxBody = 16 * 1024 * 1024;

/// An error as the protocol has it.
Response ProtocolError(int status, const std::string& message, std::chrono::milliseconds retry_after = {}) {
  Response response =
      http::JsonResponse({{"error", {{"message", message}, {"type", "recorded"}, {"code", status}}}}, status);
  if (retry_after.count() > 0) {
    response.headers["Retry-After"] = std::to_string((retry_after.count() + 999) / 1000);
  }
  return response;
}

http::HeadCheck DemandKey(const std::string& key) {
  // A key that was read from a file ends in a newline.
  const size_t last = key.find_last_not_of(" \t\r\n");
  if (last == std::string::npos) return {};
  return [digest = Sha256Hex(key.substr(0, last + 1))](const Request& request,
                                                       std::stop_token) -> std::optional<Response> {
    const std::string given = Sha256Hex(request.BearerToken());
    if (CRYPTO_memcmp(given.data(), digest.data(), digest.size()) == 0) return std::nullopt;
    return ProtocolError(401, "the API key is not the one this server was started with");
  };
}

/// Answers from the recordings, plays their faults.
class Playback {
 public:
  explicit Playback(std::vector<model::Recording> recordings) : recordings_(std::move(recordings)) {}

  Response Answer(const Request& request, std::stop_token stop) {
    auto body = ParseJson(request.body, "body", {.max_bytes = kMaxBody, .max_depth = 64});
    if (!body) return ProtocolError(400, body.error().message);
    auto asked = model::ParseChatRequest(*body);
    if (!asked) return ProtocolError(400, asked.error().message);
    asked->group = request.Header("x-ybis-run").substr(0, 200);
    auto found = recordings_.Find(*asked);
    const std::string source = found ? std::filesystem::path(found->source).filename().string() : "";
    log::Info("a recorded answer was asked for (nothing here thinks)",
              {{"run", asked->group},
               {"schema", asked->schema_name},
               {"recording", source},
               {"problem", found ? "" : found.error().message}});
    if (!found) return ProtocolError(400, found.error().message);
    return Play(*found, stop);
  }

 private:
  static Response Play(const model::Recording& recording, std::stop_token stop) {
    if (recording.fault.stall.count() > 0 && !SystemClock().SleepFor(recording.fault.stall, stop)) {
      return ProtocolError(503, "the server is stopping");
    }
    if (recording.fault.IsError()) {
      return ProtocolError(recording.fault.status, recording.fault.message, recording.fault.retry_after);
    }
    model::Completion completion = recording.response;
    completion.model = "recorded:" + std::filesystem::path(recording.source).stem().string();
    return http::JsonResponse(model::ToChatResponse(completion));
  }

  model::RecordingSet recordings_;
};

http::Router MakeRouter(Playback& playback, const std::string& api_key) {
  http::Router router;
  http::RouteOptions chat;
  chat.max_body = kMaxBody;
  chat.long_running = true;
  chat.head_check = DemandKey(api_key);
  router.Add(
      "POST", "/v1/chat/completions",
      [&playback](const Request& request, std::stop_token stop) { return playback.Answer(request, stop); },
      chat);
  http::RouteOptions models;
  models.head_check = DemandKey(api_key);
  router.Add(
      "GET", "/v1/models",
      [](const Request&, std::stop_token) {
        return http::JsonResponse(
            {{"object", "list"},
             {"data", {{{"id", "recorded"}, {"object", "model"}, {"owned_by", "recordings"}}}}});
      },
      models);
  router.Add("GET", "/healthz", [](const Request&, std::stop_token) { return http::TextResponse("ok\n"); });
  return router;
}

}  // namespace

Status ServeRecordedModel(const ModelServerSettings& settings, std::stop_token stop) {
  YBIS_ASSIGN(auto recordings, model::LoadRecordings(settings.recordings_dir));
  const size_t count = recordings.size();
  Playback playback(std::move(recordings));
  http::ServerSettings server_settings;
  server_settings.listen = {{.address = settings.address, .port = settings.port}};
  YBIS_ASSIGN(const auto server,
              http::Server::Start(server_settings, MakeRouter(playback, settings.api_key)));
  log::Info("serving recorded answers; no model is behind this",
            {{"address", settings.address}, {"port", server->Port()}, {"recordings", count}});
  if (settings.on_listening) settings.on_listening(server->Port());
  Sync<int> wait{0};
  auto locked = wait.Lock();
  wait.Wait(locked, stop, [](int) { return false; });
  server->Stop(std::chrono::seconds(2));
  return {};
}

}  // namespace ybis::cli
