#include "operator/task/admission.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ybis::op {
namespace {

std::optional<Rejection> CheckSpec(const Snapshot& snapshot) {
  if (!snapshot.invalid) return std::nullopt;
  return Rejection{"InvalidSpec", snapshot.invalid->message};
}

std::optional<Rejection> CheckWorkflow(const Snapshot& snapshot) {
  if (snapshot.workflow.spec) return std::nullopt;
  return Rejection{snapshot.workflow.reason, snapshot.workflow.message};
}

}  // namespace

std::optional<Rejection> FindImageRejection(const Snapshot& snapshot, const control::Config& config) {
  const std::string& image = snapshot.task.spec.runner.image;
  if (image.empty() && config.runner.image.empty()) {
    return Rejection{"NoRunnerImage", "the operator's configuration names no runner image (runner.image)"};
  }
  if (image.empty() || ImageAllowed(config.runner, image)) return std::nullopt;
  return Rejection{
      "ImageNotAllowed",
      fmt::format("spec.runner.image: '{}' is not in the operator's allowlist (runner.imageAllow: {}); leave "
                  "it out to use the default",
                  image, fmt::join(config.runner.image_allow, ", "))};
}

namespace {

std::string ModelNames(const control::Config& config) {
  std::string names;
  for (const auto& model : config.models) names += (names.empty() ? "" : ", ") + model.name;
  return names.empty() ? "none" : names;
}

std::optional<Rejection> CheckModels(const Snapshot& snapshot, const control::Config& config) {
  const api::ModelSpec& spec = snapshot.task.spec.model;
  if (!spec.name.empty() && config.FindModel(spec.name) == nullptr) {
    return Rejection{"ModelNotAllowed", fmt::format("spec.model.name: '{}' is not configured; there are: {}",
                                                    spec.name, ModelNames(config))};
  }
  for (const std::string& name : spec.fallbacks) {
    if (config.FindModel(name) != nullptr) continue;
    return Rejection{
        "ModelNotAllowed",
        fmt::format("spec.model.fallbacks: '{}' is not configured; there are: {}", name, ModelNames(config))};
  }
  return std::nullopt;
}

template <class Number>
std::optional<Rejection> CheckLimit(const char* field, Number asked, Number allowed) {
  if (asked <= allowed) return std::nullopt;
  return Rejection{"LimitTooHigh", fmt::format("spec.limits.{}: {} is over the operator's limit of {}", field,
                                               asked, allowed)};
}

std::optional<Rejection> CheckLimits(const Snapshot& snapshot, const control::LimitsConfig& limits) {
  const api::LimitsSpec& spec = snapshot.task.spec.limits;
  if (auto found = CheckLimit("timeoutSeconds", spec.timeout_seconds, limits.max_timeout_seconds))
    return found;
  if (auto found = CheckLimit("maxTokens", spec.max_tokens, limits.max_tokens_per_run)) return found;
  return CheckLimit("maxCostUSD", spec.max_cost_usd, limits.max_cost_usd_per_run);
}

std::optional<Rejection> CheckSecrets(const Snapshot& snapshot) {
  if (snapshot.missing_secrets.empty()) return std::nullopt;
  return Rejection{"SecretNotFound",
                   fmt::format("not found in namespace {}: {}; the task starts once it is there",
                               snapshot.key.ns, fmt::join(snapshot.missing_secrets, ", ")),
                   true};
}

}  // namespace

std::optional<Rejection> FindRejection(const Snapshot& snapshot, const TaskSettings& settings) {
  if (auto found = CheckSpec(snapshot)) return found;
  if (auto found = FindImageRejection(snapshot, settings.config)) return found;
  if (auto found = FindCredentialsRejection(snapshot, settings.config)) return found;
  if (auto found = CheckModels(snapshot, settings.config)) return found;
  if (auto found = CheckLimits(snapshot, settings.config.limits)) return found;
  if (auto found = CheckWorkflow(snapshot)) return found;
  return CheckSecrets(snapshot);
}

std::optional<Rejection> FindCredentialsRejection(const Snapshot& snapshot, const control::Config& config) {
  const std::string& secret = snapshot.task.spec.repository.credentials_secret;
  const std::vector<std::string>& allowed = config.runner.credentials_secret_allow;
  if (secret.empty() || allowed.empty()) return std::nullopt;
  for (const std::string& entry : allowed) {
    if (entry == secret) return std::nullopt;
    if (entry.ends_with('*') && secret.starts_with(std::string_view(entry).substr(0, entry.size() - 1)))
      return std::nullopt;
  }
  return Rejection{
      "SecretNotAllowed",
      fmt::format("spec.repository.credentialsSecretRef: '{}' is not in the operator's allowlist "
                  "(runner.credentialsSecretAllow: {})",
                  secret, fmt::join(allowed, ", "))};
}

bool ImageAllowed(const control::RunnerConfig& runner, const std::string& image) {
  if (image == runner.image) return true;
  for (std::string entry : runner.image_allow) {
    if (entry.empty()) continue;
    if (entry == image) return true;
    const char last = entry.back();
    if (last == '*') entry.pop_back();
    if ((last == '*' || last == '/' || last == ':') && image.starts_with(entry)) return true;
  }
  return false;
}

}  // namespace ybis::op
