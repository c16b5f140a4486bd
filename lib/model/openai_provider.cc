#include "model/openai_provider.h"

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"

namespace ybis::model {
namespace {

constexpr size_t kMaxKey = 16 * 1024;

/// The key as one line; masked in every log line from here on.
Result<std::string> ReadKey(const std::string& file) {
  auto key = ReadFile(file, kMaxKey);
  if (!key) return FailIn("the model's API key", std::move(key).error());
  const size_t first = key->find_first_not_of(" \t\r\n");
  if (first == std::string::npos) {
    return Fail(ErrorCode::kDenied, fmt::format("the model's API key: {} is empty", file));
  }
  std::string text = key->substr(first, key->find_last_not_of(" \t\r\n") - first + 1);
  log::RegisterSecret(text);
  return text;
}

}  // namespace

Result<http::ClientRequest> OpenAiProvider::Prepare(const CompletionRequest& request) const {
  http::ClientRequest made;
  made.method = "POST";
  made.url = settings_.endpoint + (settings_.endpoint.ends_with('/') ? "" : "/") + "chat/completions";
  made.headers["Content-Type"] = "application/json";
  made.headers["Accept"] = "application/json";
  if (!request.group.empty()) made.headers[kGroupHeader] = request.group;
  // W3C trace context: version, trace, a span of this call's own, sampled.
  if (request.trace_id.size() == 32) {
    made.headers["traceparent"] = fmt::format("00-{}-{}-01", request.trace_id, RandomHex(8));
  }
  if (!settings_.api_key_file.empty()) {
    YBIS_ASSIGN(const std::string key, ReadKey(settings_.api_key_file));
    made.headers["Authorization"] = "Bearer " + key;
  }
  made.body = DumpJson(ToChatRequest(request, settings_.model, settings_.dialect));
  made.timeout = request.timeout;
  made.max_response_bytes = settings_.max_response_bytes;
  made.pooled = false;
  return made;
}

Result<Completion> OpenAiProvider::Complete(const CompletionRequest& request, std::stop_token stop) {
  YBIS_ASSIGN(const http::ClientRequest made, Prepare(request));
  auto response = transport_.Send(made, stop);
  if (!response) {
    Error error = std::move(response).error();
    error.message = log::Redact(error.message);
    return Fail(std::move(error));
  }
  if (response->status != 200) return Fail(ChatError(*response));
  return ParseChatResponse(response->body, request);
}

}  // namespace ybis::model
