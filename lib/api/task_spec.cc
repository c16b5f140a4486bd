// YbisTask's spec: read with the same bounds as the schema, since local mode has no API server to check them.
#include <nlohmann/json.hpp>

#include "api/task.h"
#include "base/json.h"

namespace ybis::api {
namespace {

using nlohmann::json;

constexpr size_t kMaxObjective = 32768;
constexpr size_t kMaxListItems = 64;

/// Postgres cannot give out a text with a NUL in it, and a command line or an environment ends at one.
void CheckNul(ObjectReader& reader, const std::string& path, std::string_view value) {
  if (value.find('\0') != std::string_view::npos)
    reader.Problem(fmt::format("{}: a NUL character is not allowed", path));
}

/// Checks a string's length and characters; kubectl's schema counts characters, bytes are close enough as an
/// upper bound times four.
void CheckText(ObjectReader& reader, std::string_view key, const std::string& value, size_t max) {
  if (value.size() > max * 4)
    reader.Problem(fmt::format("{}: may be at most {} characters long", reader.PathOf(key), max));
  CheckNul(reader, reader.PathOf(key), value);
}

/// Whoever is to approve reads where a change comes from on a terminal, which obeys control characters: C0,
/// DEL and, as two bytes of UTF-8, C1.
void CheckControls(ObjectReader& reader, std::string_view key, std::string_view value) {
  for (size_t i = 0; i < value.size(); ++i) {
    const auto at = static_cast<unsigned char>(value[i]);
    const auto next = static_cast<unsigned char>(i + 1 < value.size() ? value[i + 1] : 0);
    if (at >= 0x20 && at != 0x7f && !(at == 0xc2 && next >= 0x80 && next <= 0x9f)) continue;
    return reader.Problem(fmt::format("{}: must hold no control characters", reader.PathOf(key)));
  }
}

std::string BoundedString(ObjectReader& reader, std::string_view key, size_t max) {
  std::string value = reader.String(key);
  CheckText(reader, key, value, max);
  return value;
}

std::vector<std::string> BoundedStrings(ObjectReader& reader, std::string_view key) {
  std::vector<std::string> values = reader.Strings(key);
  if (values.size() > kMaxListItems)
    reader.Problem(fmt::format("{}: may hold at most {} items", reader.PathOf(key), kMaxListItems));
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].empty() || values[i].size() > 1024) {
      reader.Problem(fmt::format("{}[{}]: must be 1 to 1024 characters long", reader.PathOf(key), i));
    }
    CheckNul(reader, fmt::format("{}[{}]", reader.PathOf(key), i), values[i]);
  }
  return values;
}

std::map<std::string, std::string> ReadStringMap(ObjectReader& reader, std::string_view key) {
  std::map<std::string, std::string> out;
  const json* object = reader.Object(key);
  if (object == nullptr) return out;
  for (const auto& [name, value] : object->items()) {
    const std::string path = fmt::format("{}.{}", reader.PathOf(key), name.substr(0, 64));
    CheckNul(reader, path, name);
    if (value.is_string()) {
      out[name] = value.get<std::string>();
      CheckNul(reader, path, out[name]);
    } else {
      reader.Problem(fmt::format("{}: must be a string, is {}", path, value.type_name()));
    }
  }
  if (out.size() > kMaxListItems)
    reader.Problem(fmt::format("{}: may hold at most {} entries", reader.PathOf(key), kMaxListItems));
  return out;
}

/// `{name: x}` under `key`; empty when absent.
std::string ReadNameRef(ObjectReader& reader, std::string_view key) {
  const json* object = reader.Object(key);
  if (object == nullptr) return {};
  ObjectReader ref(*object, reader.PathOf(key));
  std::string name = ref.RequiredString("name");
  CheckText(ref, "name", name, 253);
  reader.Adopt(ref.Finish());
  return name;
}

/// Reads the nested object `key` with `read(reader)`, adopting its problems.
template <class Read>
void ReadNested(ObjectReader& reader, std::string_view key, Read read) {
  const json* object = reader.Object(key);
  if (object == nullptr) return;
  ObjectReader nested(*object, reader.PathOf(key));
  read(nested);
  reader.Adopt(nested.Finish());
}

void ReadRepository(ObjectReader& reader, RepositorySpec& out) {
  out.url = reader.RequiredString("url");
  CheckText(reader, "url", out.url, 2048);
  CheckControls(reader, "url", out.url);
  out.ref = BoundedString(reader, "ref", 256);
  CheckControls(reader, "ref", out.ref);
  out.credentials_secret = ReadNameRef(reader, "credentialsSecretRef");
  out.ca_bundle_secret = ReadNameRef(reader, "caBundleSecretRef");
}

void ReadModel(ObjectReader& reader, ModelSpec& out) {
  out.name = BoundedString(reader, "name", 128);
  out.fallbacks = BoundedStrings(reader, "fallbacks");
  if (reader.Member("temperature") != nullptr) out.temperature = reader.Number("temperature", 0, 0, 2);
  out.max_output_tokens = reader.Int("maxOutputTokens", 0, 0, 1'000'000);
}

void ReadCommands(ObjectReader& reader, std::vector<std::vector<std::string>>& out) {
  const json* commands = reader.Array("commands");
  if (commands == nullptr) return;
  if (commands->size() > 16)
    reader.Problem(fmt::format("{}: may hold at most 16 commands", reader.PathOf("commands")));
  for (size_t i = 0; i < commands->size(); ++i) {
    const std::string path = fmt::format("{}[{}]", reader.PathOf("commands"), i);
    const json& command = (*commands)[i];
    std::vector<std::string> argv;
    bool good = command.is_array() && !command.empty() && command.size() <= 64;
    for (size_t k = 0; good && k < command.size(); ++k) {
      good = command[k].is_string() && command[k].get_ref<const std::string&>().size() <= 4096 &&
             command[k].get_ref<const std::string&>().find('\0') == std::string::npos;
      if (good) argv.push_back(command[k].get<std::string>());
    }
    if (!good || argv.front().empty()) {
      reader.Problem(path +
                     ": must be a list of 1 to 64 strings, the program first, e.g. [\"pytest\", \"-q\"]");
      continue;
    }
    out.push_back(std::move(argv));
  }
}

void ReadVerification(ObjectReader& reader, VerificationSpec& out) {
  ReadCommands(reader, out.commands);
  out.timeout_seconds = reader.Int("timeoutSeconds", out.timeout_seconds, 1, 86400);
}

void ReadPolicy(ObjectReader& reader, PolicySpec& out) {
  out.protected_paths = BoundedStrings(reader, "protectedPaths");
  out.max_changed_files = reader.Int("maxChangedFiles", 0, 0, 100'000);
  out.max_diff_bytes = reader.Int("maxDiffBytes", 0, 0, kMaxPatchBytes);
  out.network = reader.Bool("network", false);
}

void ReadApproval(ObjectReader& reader, ApprovalSpec& out) {
  const std::string mode = reader.Choice("mode", "OnBlock", {"Never", "OnBlock", "Always"});
  out.mode = mode == "Never"    ? ApprovalMode::kNever
             : mode == "Always" ? ApprovalMode::kAlways
                                : ApprovalMode::kOnBlock;
  out.required = reader.Int("required", out.required, 1, 10);
  out.ttl_seconds = reader.Int("ttlSeconds", out.ttl_seconds, 10, 31'536'000);
  out.reminder_seconds = reader.Int("reminderSeconds", out.reminder_seconds, 0, 31'536'000);
  if (out.reminder_seconds > 0 && out.reminder_seconds < 10)
    reader.Problem(fmt::format("{}: must be 0 (none) or at least 10", reader.PathOf("reminderSeconds")));
}

void ReadDelivery(ObjectReader& reader, DeliverySpec& out) {
  const std::string mode = reader.Choice("mode", "None", {"None", "Branch"});
  out.mode = mode == "Branch" ? DeliveryMode::kBranch : DeliveryMode::kNone;
  out.branch = BoundedString(reader, "branch", 200);
}

void ReadLimits(ObjectReader& reader, LimitsSpec& out) {
  out.timeout_seconds = reader.Int("timeoutSeconds", out.timeout_seconds, 10, 604'800);
  out.max_repairs = reader.Int("maxRepairs", out.max_repairs, 0, 20);
  out.max_infra_retries = reader.Int("maxInfraRetries", out.max_infra_retries, 0, 20);
  out.max_tokens = reader.Int("maxTokens", 0, 0, 1'000'000'000);
  out.max_cost_usd = reader.Number("maxCostUSD", 0, 0, 1'000'000);
}

void ReadWorkspace(ObjectReader& reader, WorkspaceSpec& out) {
  out.size = BoundedString(reader, "size", 32);
  out.storage_class_name = BoundedString(reader, "storageClassName", 253);
  if (reader.Member("medium") != nullptr)
    out.medium = reader.Choice("medium", "Volume", {"Volume", "EmptyDir"});
}

void ReadRunner(ObjectReader& reader, RunnerSpec& out) {
  out.image = BoundedString(reader, "image", 1024);
  if (const json* resources = reader.Object("resources")) out.resources = std::make_shared<json>(*resources);
  out.node_selector = ReadStringMap(reader, "nodeSelector");
  if (const json* tolerations = reader.Array("tolerations"))
    out.tolerations = std::make_shared<json>(*tolerations);
  out.priority_class_name = BoundedString(reader, "priorityClassName", 253);
  out.runtime_class_name = BoundedString(reader, "runtimeClassName", 253);
}

Priority ReadPriority(ObjectReader& reader) {
  const std::string name = reader.Choice("priority", "MEDIUM", {"HIGH", "MEDIUM", "LOW"});
  return name == "HIGH" ? Priority::kHigh : name == "LOW" ? Priority::kLow : Priority::kMedium;
}

/// Puts a member unless it is empty or the default.
template <class T>
void Put(json& out, const char* key, const T& value, const T& unless = T{}) {
  if (!(value == unless)) out[key] = value;
}
void PutObject(json& out, const char* key, json value) {
  if (!value.empty()) out[key] = std::move(value);
}
json NameRef(const std::string& name) { return name.empty() ? json::object() : json{{"name", name}}; }

json RepositoryJson(const RepositorySpec& spec) {
  json out = {{"url", spec.url}};
  Put(out, "ref", spec.ref);
  PutObject(out, "credentialsSecretRef", NameRef(spec.credentials_secret));
  PutObject(out, "caBundleSecretRef", NameRef(spec.ca_bundle_secret));
  return out;
}

json ModelJson(const ModelSpec& spec) {
  json out = json::object();
  Put(out, "name", spec.name);
  Put(out, "fallbacks", spec.fallbacks);
  if (spec.temperature) out["temperature"] = *spec.temperature;
  Put(out, "maxOutputTokens", spec.max_output_tokens);
  return out;
}

json PolicyJson(const PolicySpec& spec) {
  json out = json::object();
  Put(out, "protectedPaths", spec.protected_paths);
  Put(out, "maxChangedFiles", spec.max_changed_files);
  Put(out, "maxDiffBytes", spec.max_diff_bytes);
  Put(out, "network", spec.network);
  return out;
}

json ApprovalJson(const ApprovalSpec& spec) {
  const ApprovalSpec defaults;
  json out = json::object();
  if (spec.mode != defaults.mode) out["mode"] = ToString(spec.mode);
  Put(out, "required", spec.required, defaults.required);
  Put(out, "ttlSeconds", spec.ttl_seconds, defaults.ttl_seconds);
  Put(out, "reminderSeconds", spec.reminder_seconds);
  return out;
}

json LimitsJson(const LimitsSpec& spec) {
  const LimitsSpec defaults;
  json out = json::object();
  Put(out, "timeoutSeconds", spec.timeout_seconds, defaults.timeout_seconds);
  Put(out, "maxRepairs", spec.max_repairs, defaults.max_repairs);
  Put(out, "maxInfraRetries", spec.max_infra_retries, defaults.max_infra_retries);
  Put(out, "maxTokens", spec.max_tokens);
  Put(out, "maxCostUSD", spec.max_cost_usd);
  return out;
}

json WorkspaceJson(const WorkspaceSpec& spec) {
  json out = json::object();
  Put(out, "size", spec.size);
  Put(out, "storageClassName", spec.storage_class_name);
  Put(out, "medium", spec.medium);
  return out;
}

json RunnerJson(const RunnerSpec& spec) {
  json out = json::object();
  Put(out, "image", spec.image);
  if (spec.resources) out["resources"] = *spec.resources;
  Put(out, "nodeSelector", spec.node_selector);
  if (spec.tolerations) out["tolerations"] = *spec.tolerations;
  Put(out, "priorityClassName", spec.priority_class_name);
  Put(out, "runtimeClassName", spec.runtime_class_name);
  return out;
}

json DeliveryJson(const DeliverySpec& spec) {
  json out = json::object();
  if (spec.mode != DeliveryMode::kNone) out["mode"] = ToString(spec.mode);
  Put(out, "branch", spec.branch);
  return out;
}

json VerificationJson(const VerificationSpec& spec) {
  json out = json::object();
  Put(out, "commands", spec.commands);
  Put(out, "timeoutSeconds", spec.timeout_seconds, VerificationSpec{}.timeout_seconds);
  return out;
}

}  // namespace

Result<TaskSpec> ParseTaskSpec(const json& spec, const std::string& path) {
  ObjectReader reader(spec, path);
  TaskSpec out;
  out.title = BoundedString(reader, "title", 256);
  out.objective = reader.RequiredString("objective");
  CheckText(reader, "objective", out.objective, kMaxObjective);
  out.priority = ReadPriority(reader);
  if (reader.Member("repository") == nullptr) reader.Problem(reader.PathOf("repository") + ": is required");
  ReadNested(reader, "repository", [&](ObjectReader& r) { ReadRepository(r, out.repository); });
  if (const std::string workflow = ReadNameRef(reader, "workflowRef"); !workflow.empty())
    out.workflow = workflow;
  out.parameters = ReadStringMap(reader, "parameters");
  ReadNested(reader, "model", [&](ObjectReader& r) { ReadModel(r, out.model); });
  ReadNested(reader, "verification", [&](ObjectReader& r) { ReadVerification(r, out.verification); });
  ReadNested(reader, "policy", [&](ObjectReader& r) { ReadPolicy(r, out.policy); });
  ReadNested(reader, "approval", [&](ObjectReader& r) { ReadApproval(r, out.approval); });
  ReadNested(reader, "delivery", [&](ObjectReader& r) { ReadDelivery(r, out.delivery); });
  ReadNested(reader, "limits", [&](ObjectReader& r) { ReadLimits(r, out.limits); });
  ReadNested(reader, "workspace", [&](ObjectReader& r) { ReadWorkspace(r, out.workspace); });
  ReadNested(reader, "runner", [&](ObjectReader& r) { ReadRunner(r, out.runner); });
  out.queue_name = BoundedString(reader, "queueName", 253);
  out.suspend = reader.Bool("suspend", false);
  out.cancel = reader.Bool("cancel", false);
  ReadNested(reader, "rerun", [&](ObjectReader& r) {
    out.rerun_token = r.RequiredString("token");
    CheckText(r, "token", out.rerun_token, 64);
    out.rerun_from = BoundedString(r, "fromNode", 63);
  });
  YBIS_TRY(reader.Finish());
  return out;
}

json ToJson(const TaskSpec& spec) {
  json out = {{"objective", spec.objective}, {"repository", RepositoryJson(spec.repository)}};
  Put(out, "title", spec.title);
  if (spec.priority != Priority::kMedium) out["priority"] = ToString(spec.priority);
  if (spec.workflow != TaskSpec{}.workflow) out["workflowRef"] = NameRef(spec.workflow);
  Put(out, "parameters", spec.parameters);
  PutObject(out, "model", ModelJson(spec.model));
  PutObject(out, "verification", VerificationJson(spec.verification));
  PutObject(out, "policy", PolicyJson(spec.policy));
  PutObject(out, "approval", ApprovalJson(spec.approval));
  PutObject(out, "delivery", DeliveryJson(spec.delivery));
  PutObject(out, "limits", LimitsJson(spec.limits));
  PutObject(out, "workspace", WorkspaceJson(spec.workspace));
  PutObject(out, "runner", RunnerJson(spec.runner));
  Put(out, "queueName", spec.queue_name);
  Put(out, "suspend", spec.suspend);
  Put(out, "cancel", spec.cancel);
  if (!spec.rerun_token.empty()) out["rerun"] = {{"token", spec.rerun_token}};
  if (!spec.rerun_token.empty() && !spec.rerun_from.empty()) out["rerun"]["fromNode"] = spec.rerun_from;
  return out;
}

}  // namespace ybis::api
