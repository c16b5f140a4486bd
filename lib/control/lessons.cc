#include "control/lessons.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "control/error_fingerprint.h"
#include "control/run_state_rows.h"

namespace ybis::control {
namespace {

using nlohmann::json;
using store::InDoubt;
using store::LearningStore;
using store::Transaction;

constexpr size_t kMaxTail = 4096;

/// The line that tells most: the first with an error, else the last.
std::string TellingLine(const std::string& output) {
  std::istringstream lines(output);
  std::string line, last;
  while (std::getline(lines, line)) {
    if (line.find("rror") != std::string::npos || line.find("FAIL") != std::string::npos) return line;
    if (line.find_first_not_of(" \t\r") != std::string::npos) last = line;
  }
  return last;
}

std::string TextOf(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// Of a document that a runner sent: any shape is possible.
json FailedChecks(const json& verifier) {
  json failed = json::array();
  const auto checks = verifier.is_object() ? verifier.find("checks") : verifier.end();
  if (!verifier.is_object() || checks == verifier.end() || !checks->is_array()) return failed;
  for (const json& check : *checks) {
    if (!check.is_object() || check.value("passed", json(true)) == true) continue;
    failed.push_back({{"name", TextOf(check, "name")},
                      {"exitCode", check.value("exitCode", json())},
                      {"outputTail", Cleaned(TextOf(check, "outputTail"), kMaxTail)}});
    if (failed.size() == 20) break;
  }
  return failed;
}

}  // namespace

bool MayTeach(const api::NodeReport& report) {
  if (report.type != "gate" || report.outcome != "ok" || !report.output || !report.output->is_object())
    return false;
  if (TextOf(*report.output, "decision") != "approved") return false;
  const auto& visits = report.checkpoint.visits;
  return std::any_of(visits.begin(), visits.end(), [](const auto& entry) { return entry.second > 1; });
}

std::optional<store::LessonRow> LessonOf(const json& verifier, const api::NodeReport& gate) {
  const json failed = FailedChecks(verifier);
  if (failed.empty()) return std::nullopt;
  const json& first = failed.front();
  const auto fingerprint =
      FingerprintOf("Verify", TextOf(first, "name"), TellingLine(TextOf(first, "outputTail")));
  store::LessonRow lesson;
  lesson.seq = gate.seq;
  lesson.fingerprint = fingerprint.digest;
  lesson.pattern = Cleaned(fmt::format("{}: {}", TextOf(first, "name"), fingerprint.pattern), 1024);
  lesson.failed = std::make_shared<const json>(failed);
  lesson.failed_digest = Cleaned(TextOf(verifier, "patchDigest"), 128);
  if (gate.input && gate.input->is_object())
    lesson.mended_digest = Cleaned(TextOf(*gate.input, "patchDigest"), 128);
  return lesson;
}

Status RecordLesson(Transaction& transaction, const std::string& run_id, const api::NodeReport& gate) {
  LearningStore learning(transaction);
  YBIS_ASSIGN(const auto repaired, learning.LastRepaired(run_id, gate.seq));
  if (!repaired || !repaired->state || !repaired->state->is_object()) return {};
  auto lesson = LessonOf(repaired->state->value("verifier", json()), gate);
  if (!lesson) return {};
  lesson->run_id = run_id;
  lesson->repairs = repaired->repairs;
  return learning.AddLesson(*lesson);
}

Result<std::vector<store::ErrorPatternRow>> LearningCatalog::Patterns(int64_t limit, std::stop_token stop) {
  return pool_.Single([&](Transaction& tx) { return LearningStore(tx).Patterns(limit); }, std::move(stop),
                      InDoubt::kRepeat);
}

Result<store::ErrorPatternRow> LearningCatalog::Pattern(const std::string& reference, std::stop_token stop) {
  const std::string prefix = reference.starts_with("sha256:") ? reference : "sha256:" + reference;
  YBIS_ASSIGN(auto found, pool_.Single([&](Transaction& tx) { return LearningStore(tx).FindPattern(prefix); },
                                       std::move(stop), InDoubt::kRepeat));
  if (found.empty())
    return Fail(ErrorCode::kNotFound, fmt::format("no failure has the fingerprint {}", reference));
  if (found.size() > 1)
    return Fail(ErrorCode::kInvalid, fmt::format("{} fits more than one fingerprint", reference));
  return std::move(found.front());
}

Result<std::vector<store::ErrorRecordRow>> LearningCatalog::Records(const std::string& fingerprint,
                                                                    int64_t limit, std::stop_token stop) {
  return pool_.Single([&](Transaction& tx) { return LearningStore(tx).Records(fingerprint, limit); },
                      std::move(stop), InDoubt::kRepeat);
}

Result<std::optional<store::MetricsRow>> LearningCatalog::Metrics(const std::string& run_id,
                                                                  std::stop_token stop) {
  return pool_.Single([&](Transaction& tx) { return LearningStore(tx).Metrics(run_id); }, std::move(stop),
                      InDoubt::kRepeat);
}

Result<std::vector<store::LessonRow>> LearningCatalog::Lessons(int64_t limit, std::stop_token stop) {
  return pool_.Single([&](Transaction& tx) { return LearningStore(tx).Lessons(limit); }, std::move(stop),
                      InDoubt::kRepeat);
}

}  // namespace ybis::control
