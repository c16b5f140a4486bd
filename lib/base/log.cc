#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/clock.h"
#include "base/log_context.h"
#include "base/log_secrets.h"
#include "base/sync.h"
#include "base/utf8.h"

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

void MaskTexts(nlohmann::json& value, const std::vector<std::string>& secrets) {
  if (value.is_string()) {
    auto& text = value.get_ref<std::string&>();
    text = Mask(std::move(text), secrets);
  }
  if (!value.is_structured()) return;
  for (nlohmann::json& child : value) MaskTexts(child, secrets);
}

/// Halves the longest of message and fields, so that the line stays whole. False when nothing is long.
bool Shorten(std::string& message, nlohmann::json& fields) {
  constexpr size_t kShort = 64;
  size_t longest = message.size();
  nlohmann::json* found = nullptr;
  for (nlohmann::json& field : fields) {
    const size_t size = Dump(field).size();
    if (size <= longest) continue;
    longest = size;
    found = &field;
  }
  if (longest <= kShort) return false;
  const auto half = [](const std::string& text) {
    return std::string(CutAtCharacter(text, text.size() / 2)) + "…";
  };
  if (found == nullptr) {
    message = half(message);
  } else {
    *found = half(found->is_string() ? found->get<std::string>() : Dump(*found));
  }
  return true;
}

std::string Render(spdlog::level::level_enum level, const std::string& message, const nlohmann::json& fields,
                   Format format) {
  const auto level_name = spdlog::level::to_string_view(level);
  const std::string_view name(level_name.data(), level_name.size());
  const std::string time = FormatRfc3339Micro(SystemClock().Now());
  if (format == Format::kJson) {
    nlohmann::json record = fields;
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
  nlohmann::json masked = fields.is_object() ? fields : nlohmann::json::object();
  for (const auto& [key, value] : state->context) masked.emplace(key, value);
  MaskTexts(masked, state->secrets);
  std::string text = Mask(std::string(message), state->secrets);
  std::string line = Render(level, text, masked, state->format);
  while (line.size() > kMaxRecord && Shorten(text, masked)) line = Render(level, text, masked, state->format);
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

void ForgetSecret(std::string_view secret) { std::erase(Global().Lock()->secrets, secret); }

std::string Redact(std::string_view text) { return Mask(std::string(text), Global().Lock()->secrets); }

nlohmann::json RedactTexts(nlohmann::json value) {
  MaskTexts(value, Global().Lock()->secrets);
  return value;
}

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
