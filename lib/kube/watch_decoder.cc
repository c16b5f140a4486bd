#include "kube/watch_decoder.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "kube/wire.h"

namespace ybis::kube {
namespace {

using nlohmann::json;

Result<WatchEventType> TypeOf(const std::string& name) {
  if (name == "ADDED") return WatchEventType::kAdded;
  if (name == "MODIFIED") return WatchEventType::kModified;
  if (name == "DELETED") return WatchEventType::kDeleted;
  if (name == "BOOKMARK") return WatchEventType::kBookmark;
  return Fail(ErrorCode::kInvalid, fmt::format("watch event: unknown type '{}'", name.substr(0, 32)));
}

Error EventError(const json& status) {
  int code = 500;
  if (status.is_object() && status.contains("code") && status["code"].is_number_integer())
    code = status["code"];
  Error error = ErrorFromStatus("watch", code, status);
  // The server cannot go on from here, whatever it calls the reason: only a new list can.
  error.code = ErrorCode::kGone;
  return error;
}

}  // namespace

Status WatchDecoder::TakeLine(std::string_view& bytes, bool& complete) {
  const size_t end = bytes.find('\n');
  complete = end != std::string_view::npos;
  const std::string_view part = bytes.substr(0, end);
  if (buffer_.size() + part.size() > max_line_) {
    return Fail(ErrorCode::kTooLarge, fmt::format("watch: one event is longer than {} bytes", max_line_));
  }
  buffer_.append(part);
  bytes.remove_prefix(complete ? end + 1 : bytes.size());
  return {};
}

Result<WatchEvent> WatchDecoder::Decode(std::string_view line) {
  YBIS_ASSIGN(json event, ParseWire(line, "watch event"));
  if (!event.is_object() || !event.contains("type") || !event["type"].is_string() ||
      !event.contains("object")) {
    return Fail(ErrorCode::kInvalid, "watch event: needs a type and an object");
  }
  json& object = event["object"];
  const auto& name = event["type"].get_ref<const std::string&>();
  if (name == "ERROR") return Fail(EventError(object));
  WatchEvent decoded;
  YBIS_ASSIGN(decoded.type, TypeOf(name));
  if (MetaString(object, "resourceVersion").empty()) {
    return Fail(ErrorCode::kInvalid, "watch event: object.metadata.resourceVersion is missing");
  }
  if (decoded.type != WatchEventType::kBookmark && KeyOf(object).name.empty()) {
    return Fail(ErrorCode::kInvalid, "watch event: object.metadata.name is missing");
  }
  decoded.object = std::make_shared<const json>(std::move(object));
  return decoded;
}

}  // namespace ybis::kube
