#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/clock.h"
#include "base/log_context.h"
#include "base/sync.h"

namespace ybis::log {
namespace {

constexpr size_t kMinSecret = 4;
constexpr size_t kMaxRecord = 16 * 1024;

struct State {
  std::shared_ptr<spdlog::logger> logger;
  Format format = Format::kText;
  std::vector<std::string> secrets;
  std::map<std::string, std::string> context;
};

std::shared_ptr<spdlog::logger> MakeLogger() {
  auto logger = std::make_shared<spdlog::logger>("ybis", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%v");
  logger->flush_on(spdlog::level::debug);
  return logger;
}

Sync<State>& Global() {
  static Sync<State> state(State{MakeLogger(), Format::kText, {}, {}});
  return state;
}

std::string Mask(std::string text, const std::vector<std::string>& secrets) {
  for (const std::string& secret : secrets) {
    for (size_t at = text.find(secret); at != std::string::npos; at = text.find(secret, at + 3)) {
      text.replace(at, secret.size(), "***");
    }
  }
  return text;
}

std::string Dump(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string Render(spdlog::level::level_enum level, std::string_view message, nlohmann::json fields,
                   const std::map<std::string, std::string>& context, Format format) {
  if (!fields.is_object()) fields = nlohmann::json::object();
  for (const auto& [key, value] : context) fields.emplace(key, value);
  const auto level_name = spdlog::level::to_string_view(level);
  const std::string_view name(level_name.data(), level_name.size());
  const std::string time = FormatRfc3339Micro(SystemClock().Now());
  if (format == Format::kJson) {
    nlohmann::json record = std::move(fields);
    record["ts"] = time;
    record["level"] = name;
    record["msg"] = message;
    return Dump(record);
  }
  std::string line = fmt::format("{} {:<7} {}", time, name, message);
  for (const auto& [key, value] : fields.items()) line += fmt::format(" {}={}", key, Dump(value));
  return line;
}

void Write(spdlog::level::level_enum level, std::string_view message, const nlohmann::json& fields) {
  auto state = Global().Lock();
  if (!state->logger->should_log(level)) return;
  std::string line = Mask(Render(level, message, fields, state->context, state->format), state->secrets);
  if (line.size() > kMaxRecord) line = line.substr(0, kMaxRecord) + "…";
  state->logger->log(level, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace

void Init(Level level, Format format) {
  auto state = Global().Lock();
  constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info,
                                                   spdlog::level::warn, spdlog::level::err};
  state->logger->set_level(kLevels[static_cast<int>(level)]);
  state->format = format;
}

Level LevelFromName(std::string_view name) {
  if (name == "debug") return Level::kDebug;
  if (name == "warn") return Level::kWarn;
  if (name == "error") return Level::kError;
  return Level::kInfo;
}

void RegisterSecret(std::string_view secret) {
  if (secret.size() < kMinSecret) return;
  auto state = Global().Lock();
  if (std::find(state->secrets.begin(), state->secrets.end(), secret) != state->secrets.end()) return;
  state->secrets.emplace_back(secret);
  // The longest first, so that a secret that holds another is masked whole.
  std::sort(state->secrets.begin(), state->secrets.end(),
            [](const auto& a, const auto& b) { return a.size() > b.size(); });
}

std::string Redact(std::string_view text) { return Mask(std::string(text), Global().Lock()->secrets); }

void SetContext(const std::string& key, const std::string& value) {
  auto state = Global().Lock();
  if (value.empty()) {
    state->context.erase(key);
  } else {
    state->context[key] = value;
  }
}

void Debug(std::string_view message, const nlohmann::json& fields) {
  Write(spdlog::level::debug, message, fields);
}
void Info(std::string_view message, const nlohmann::json& fields) {
  Write(spdlog::level::info, message, fields);
}
void Warn(std::string_view message, const nlohmann::json& fields) {
  Write(spdlog::level::warn, message, fields);
}
void Error(std::string_view message, const nlohmann::json& fields) {
  Write(spdlog::level::err, message, fields);
}

}  // namespace ybis::log
