#include "kube/wire.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "http/status.h"

namespace ybis::kube {
namespace {

using nlohmann::json;
constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxMessage = 2048;

struct TooDeep {};

/// A parser callback that leaves metadata.managedFields out and stops at the depth limit.
class ManagedFieldsFilter {
 public:
  bool operator()(int depth, json::parse_event_t event, json& parsed) {
    const auto level = static_cast<size_t>(depth);
    if (level > kMaxDepth) throw TooDeep();
    if (event == json::parse_event_t::array_start) in_metadata_[level] = in_metadata_[level + 1] = false;
    if (event != json::parse_event_t::key) return true;
    const bool drop = level > 0 && in_metadata_[level - 1] && parsed == "managedFields";
    in_metadata_[level] = parsed == "metadata";
    return !drop;
  }

 private:
  std::array<bool, kMaxDepth + 2> in_metadata_{};
};

std::string StringOf(const json& object, const char* field) {
  if (!object.is_object()) return {};
  const auto found = object.find(field);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// The API server's own words: every 5xx of it passes.
ErrorCode CodeOf(int code, const std::string& reason) {
  if (code == 409 && reason == "AlreadyExists") return ErrorCode::kExists;
  return code >= 500 ? ErrorCode::kUnavailable : http::CodeOfStatus(code);
}

/// The causes' fields that the message does not name yet.
std::string Causes(const json& status, const std::string& message) {
  std::string text;
  if (!status.is_object() || !status.contains("details") || !status["details"].is_object()) return text;
  const json& details = status["details"];
  if (!details.contains("causes") || !details["causes"].is_array()) return text;
  for (const json& cause : details["causes"]) {
    const std::string field = StringOf(cause, "field");
    if (field.empty() || message.find(field) != std::string::npos) continue;
    text += fmt::format("; {}: {}", field, StringOf(cause, "message"));
  }
  return text;
}

}  // namespace

Result<json> ParseWire(std::string_view text, std::string_view source) {
  try {
    return json::parse(text.begin(), text.end(), ManagedFieldsFilter());
  } catch (const TooDeep&) {
    return Fail(ErrorCode::kInvalid, fmt::format("{}: JSON nested deeper than {} levels", source, kMaxDepth));
  } catch (const json::exception& error) {
    return Fail(ErrorCode::kInvalid, fmt::format("{}: not JSON ({})", source, error.id));
  }
}

Error ErrorFromStatus(std::string_view what, int code, const json& status) {
  const std::string reason = StringOf(status, "reason");
  std::string message = StringOf(status, "message");
  message += Causes(status, message);
  if (message.size() > kMaxMessage) message.resize(kMaxMessage);
  Error error = Fail(CodeOf(code, reason), fmt::format("{}: {} {}: {}", what, code, reason, message)).value();
  error.retryable = code == 409 ? error.code == ErrorCode::kConflict : code == 429 || code >= 500;
  return error;
}

Error ErrorFromResponse(std::string_view what, const http::ClientResponse& response) {
  const auto parsed = ParseWire(response.body, what);
  const bool is_status = parsed && parsed->is_object() && StringOf(*parsed, "kind") == "Status";
  const json plain = {{"message", response.body.substr(0, 256)}};
  Error error = ErrorFromStatus(what, response.status, is_status ? *parsed : plain);
  error.retry_after = response.RetryAfter();
  return error;
}

}  // namespace ybis::kube
