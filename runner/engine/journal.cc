#include "runner/engine/journal.h"

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/log.h"
#include "base/log_secrets.h"

namespace ybis::runner {

using nlohmann::json;

namespace {
constexpr size_t kMaxBytes = 4 * 1024 * 1024;
}

Outcome<void> Journal::Load(std::stop_token stop) {
  YBIS_TAKE(lines_, folder_.GetArtifact("logs.jsonl", std::move(stop)));
  if (!lines_.empty() && lines_.back() != '\n') lines_ += '\n';
  return {};
}

void Journal::Append(std::string_view level, std::string_view message, const json& fields) {
  if (lines_.size() > kMaxBytes) return;
  json line = {{"time", FormatRfc3339Micro(clock_.Now())},
               {"level", level},
               {"message", message},
               {"attempt", folder_.lease().attempt},
               {"fields", fields}};
  if (!folder_.lease().trace_id.empty()) line["traceID"] = folder_.lease().trace_id;
  lines_ += DumpJson(log::RedactTexts(std::move(line)));
  lines_ += '\n';
}

void Journal::Info(std::string_view message, const json& fields) {
  log::Info(message, fields);
  Append("info", message, fields);
}

void Journal::Error(std::string_view message, const json& fields) {
  log::Error(message, fields);
  Append("error", message, fields);
}

Outcome<void> Journal::Event(const std::string& key, const std::string& type, const std::string& message,
                             const json& fields, std::stop_token stop) {
  Info(message, fields);
  const api::EventReport report{.epoch = folder_.lease().epoch,
                                .key = key,
                                .type = type,
                                .message = log::Redact(message),
                                .fields = std::make_shared<const json>(log::RedactTexts(fields)),
                                .time = clock_.Now()};
  YBIS_TRY_FAULT(FaultSource::kRunApi, api_.RecordEvent(report, std::move(stop)));
  return {};
}

Outcome<void> Journal::Flush(std::stop_token stop) {
  return folder_.PutArtifact("logs.jsonl", lines_, std::move(stop));
}

}  // namespace ybis::runner
