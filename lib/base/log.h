#pragma once
// Structured logging (spdlog) to standard error, one line a record, as JSON or as text. Registered secrets
// are masked.
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace ybis::log {

enum class Level { kDebug, kInfo, kWarn, kError };
enum class Format { kText, kJson };

/// Sets up logging of the process; call once, first thing in main. Before it, records go out as text at
/// kInfo.
void Init(Level level, Format format);
/// "debug", "info", "warn" or "error"; anything else is kInfo.
Level LevelFromName(std::string_view name);

/// Adds a value that must never appear: every later record has it replaced by "***". Under 4 bytes it is
/// ignored. Thread-safe.
void RegisterSecret(std::string_view secret);
/// The text with every registered secret replaced by "***"; for messages that leave the process by other
/// ways.
std::string Redact(std::string_view text);

/// Writes one record: a constant message and its facts, e.g.
/// `log::Info("job created", {{"task", key}, {"job", name}})`. Thread-safe; control characters are escaped.
void Debug(std::string_view message, const nlohmann::json& fields);
void Info(std::string_view message, const nlohmann::json& fields);
void Warn(std::string_view message, const nlohmann::json& fields);
void Error(std::string_view message, const nlohmann::json& fields);

}  // namespace ybis::log
