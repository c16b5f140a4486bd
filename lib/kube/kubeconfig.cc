// kubeconfig files: merged, one context of them resolved, every refusal naming file and field.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/yaml.h"
#include "http/url.h"
#include "kube/config.h"
#include "kube/token_source.h"

namespace ybis::kube {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

/// The extension of a cluster that holds what its plugins want to know.
constexpr const char* kExecExtension = "client.authentication.k8s.io/exec";

/// A named cluster, user or context, with what is needed to speak of it.
struct Entry {
  json value;
  fs::path file;
  std::string where;  ///< "config: users[1].user"

  fs::path Beside(const std::string& path) const { return file.parent_path() / path; }
};

struct Merged {
  std::string current_context;
  std::map<std::string, Entry> clusters, users, contexts;
};

std::vector<fs::path> Files(const KubeconfigOptions& options, const Environment& env) {
  if (!options.files.empty()) return options.files;
  std::vector<fs::path> files;
  const auto list = env.find("KUBECONFIG");
  const auto home = env.find("HOME");
  if (list != env.end() && !list->second.empty()) {
    for (size_t start = 0; start <= list->second.size();) {
      const size_t end = std::min(list->second.find(':', start), list->second.size());
      if (end > start) files.emplace_back(list->second.substr(start, end - start));
      start = end + 1;
    }
  } else if (home != env.end()) {
    files.push_back(fs::path(home->second) / ".kube" / "config");
  }
  return files;
}

/// Adds the list's entries; a name that an earlier file gave stays as it is.
Status AddEntries(const json& config, const fs::path& file, const char* list, const char* member,
                  std::map<std::string, Entry>& entries) {
  ObjectReader reader(config, file.string());
  const json* items = reader.Array(list);
  if (items == nullptr) return reader.Finish(false);
  for (size_t i = 0; i < items->size(); ++i) {
    const std::string where = fmt::format("{}: {}[{}]", file.string(), list, i);
    if (!(*items)[i].is_object()) return Fail(ErrorCode::kInvalid, where + ": must be an object");
    ObjectReader item((*items)[i], where);
    const std::string name = item.RequiredString("name");
    const json* value = item.Object(member);
    YBIS_TRY(item.Finish(false));
    entries.try_emplace(
        name, Entry{value != nullptr ? *value : json::object(), file, fmt::format("{}.{}", where, member)});
  }
  return {};
}

Status AddFile(const fs::path& file, Merged& merged) {
  YBIS_ASSIGN(const std::string text, ReadFile(file));
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) return {};
  YBIS_ASSIGN(const YamlDocument document, ParseYaml(text, file.string()));
  const json& config = *document.value;
  if (!config.is_object()) return Fail(ErrorCode::kInvalid, file.string() + ": is not a kubeconfig");
  const auto current = config.find("current-context");
  if (merged.current_context.empty() && current != config.end() && current->is_string()) {
    merged.current_context = current->get<std::string>();
  }
  YBIS_TRY(AddEntries(config, file, "clusters", "cluster", merged.clusters));
  YBIS_TRY(AddEntries(config, file, "users", "user", merged.users));
  return AddEntries(config, file, "contexts", "context", merged.contexts);
}

Result<Merged> Load(const std::vector<fs::path>& files) {
  Merged merged;
  int found = 0;
  for (const fs::path& file : files) {
    std::error_code ignored;
    if (files.size() > 1 && !fs::exists(file, ignored))
      continue;  // as kubectl: a list may name files to come
    YBIS_TRY(AddFile(file, merged));
    ++found;
  }
  if (found == 0) {
    return Fail(ErrorCode::kNotFound, "no kubeconfig: set KUBECONFIG, or put one at ~/.kube/config");
  }
  return merged;
}

Result<Entry> Named(const std::map<std::string, Entry>& entries, const std::string& name,
                    const std::string& asked_by) {
  const auto found = entries.find(name);
  if (found == entries.end())
    return Fail(ErrorCode::kInvalid, fmt::format("{}: '{}' is not in the kubeconfig", asked_by, name));
  return found->second;
}

Status Refuse(const Entry& entry, std::string_view field, std::string_view why) {
  const auto found = entry.value.find(field);
  const bool absent = found == entry.value.end() || found->is_null() || *found == false || *found == "";
  if (absent) return {};
  return Fail(ErrorCode::kUnsupported, fmt::format("{}.{}: {}", entry.where, field, why));
}

/// PEM text of `<field>-data`, or "" when absent.
Result<std::string> Data(const Entry& entry, ObjectReader& reader, const std::string& field) {
  const std::string encoded = reader.String(field + "-data");
  if (encoded.empty()) return std::string();
  auto decoded = Base64Decode(encoded);
  if (!decoded)
    return Fail(ErrorCode::kInvalid, fmt::format("{}.{}-data: is not base64", entry.where, field));
  return decoded;
}

/// The file that a field names; its content, or an error that names both.
Result<std::string> FileOf(const Entry& entry, const std::string& field, const std::string& path) {
  auto text = ReadFile(entry.Beside(path));
  if (!text) return FailIn(fmt::format("{}.{}", entry.where, field), text.error());
  return text;
}

Status ReadCluster(const Entry& entry, Connection& connection) {
  YBIS_TRY(Refuse(
      entry, "insecure-skip-tls-verify",
      "is refused, since anybody on the way could take the token; give certificate-authority-data instead"));
  YBIS_TRY(Refuse(entry, "proxy-url", "proxies are not supported"));
  YBIS_TRY(
      Refuse(entry, "tls-server-name", "is not supported; use a server name that its certificate carries"));
  ObjectReader reader(entry.value, entry.where);
  connection.server = reader.RequiredString("server");
  const std::string ca_file = reader.String("certificate-authority");
  YBIS_ASSIGN(connection.tls.ca_pem, Data(entry, reader, "certificate-authority"));
  YBIS_TRY(reader.Finish(false));
  while (connection.server.ends_with('/')) connection.server.pop_back();
  if (const auto url = http::ParseUrl(connection.server); !url) {
    return FailIn(entry.where + ".server", url.error());
  }
  if (connection.tls.ca_pem.empty() && !ca_file.empty()) {
    connection.tls.ca_file = entry.Beside(ca_file);
    YBIS_TRY(FileOf(entry, "certificate-authority", ca_file));
  }
  connection.tls.system_roots = connection.tls.ca_pem.empty() && connection.tls.ca_file.empty();
  return {};
}

Status ReadCertificate(const Entry& entry, ObjectReader& reader, http::TlsSettings& tls) {
  YBIS_ASSIGN(const std::string certificate, Data(entry, reader, "client-certificate"));
  YBIS_ASSIGN(const std::string key, Data(entry, reader, "client-key"));
  const std::string certificate_file = reader.String("client-certificate");
  const std::string key_file = reader.String("client-key");
  const bool has_certificate = !certificate.empty() || !certificate_file.empty();
  const bool has_key = !key.empty() || !key_file.empty();
  if (has_certificate != has_key) {
    return Fail(ErrorCode::kInvalid,
                fmt::format("{}: {} is missing", entry.where, has_key ? "client-certificate" : "client-key"));
  }
  if (!has_certificate) return {};
  if (certificate.empty() && key.empty()) {
    tls.client_cert_file = entry.Beside(certificate_file);
    tls.client_key_file = entry.Beside(key_file);
    YBIS_TRY(FileOf(entry, "client-certificate", certificate_file));
    YBIS_TRY(FileOf(entry, "client-key", key_file));
    return {};
  }
  http::ClientCertificate identity{certificate, key};
  if (certificate.empty()) {
    YBIS_ASSIGN(identity.certificate_pem, FileOf(entry, "client-certificate", certificate_file));
  }
  if (key.empty()) {
    YBIS_ASSIGN(identity.key_pem, FileOf(entry, "client-key", key_file));
  }
  tls.client_certificate = [identity]() -> Result<http::ClientCertificate> { return identity; };
  return {};
}

/// What a plugin that asks for it is told of the cluster, in the words of client.authentication.k8s.io. Of
/// what its type has besides, a kubeconfig that got here holds nothing (ReadCluster).
Result<json> ClusterInfo(const Entry& cluster, const Connection& connection) {
  json info = {{"server", connection.server}};
  std::string ca_pem = connection.tls.ca_pem;
  if (ca_pem.empty() && !connection.tls.ca_file.empty()) {
    YBIS_ASSIGN(ca_pem, ReadFile(connection.tls.ca_file));
  }
  if (!ca_pem.empty()) info["certificate-authority-data"] = Base64Encode(ca_pem);
  const auto extensions = cluster.value.find("extensions");
  if (extensions == cluster.value.end() || !extensions->is_array()) return info;
  for (const json& extension : *extensions) {
    if (!extension.is_object() || !extension.contains("extension")) continue;
    const auto name = extension.find("name");
    if (name != extension.end() && *name == kExecExtension) info["config"] = extension["extension"];
  }
  return info;
}

Result<ExecPlugin> ReadPlugin(const Entry& entry, const json& exec, const Environment& env,
                              const Entry& cluster, const Connection& connection) {
  ExecPlugin plugin;
  plugin.where = entry.where + ".exec";
  ObjectReader reader(exec, plugin.where);
  plugin.api_version = reader.RequiredString("apiVersion");
  if (plugin.api_version != "client.authentication.k8s.io/v1" &&
      plugin.api_version != "client.authentication.k8s.io/v1beta1") {
    reader.Problem(plugin.where + ".apiVersion: must be client.authentication.k8s.io/v1 or v1beta1");
  }
  plugin.command = reader.RequiredString("command");
  plugin.args = reader.Strings("args");
  plugin.install_hint = reader.String("installHint");
  if (reader.String("interactiveMode") == "Always") {
    reader.Problem(plugin.where + ".interactiveMode: Always is not possible, there is no terminal");
  }
  json spec = {{"interactive", false}};
  if (reader.Bool("provideClusterInfo", false)) {
    YBIS_ASSIGN(spec["cluster"], ClusterInfo(cluster, connection));
  }
  plugin.env = env;
  if (const json* variables = reader.Array("env")) {
    for (size_t i = 0; i < variables->size(); ++i) {
      const std::string where = fmt::format("{}.env[{}]", plugin.where, i);
      if (!(*variables)[i].is_object()) return Fail(ErrorCode::kInvalid, where + ": must be an object");
      ObjectReader variable((*variables)[i], where);
      const std::string name = variable.RequiredString("name");
      plugin.env[name] = variable.String("value");
      reader.Adopt(variable.Finish(false));
    }
  }
  YBIS_TRY(reader.Finish(false));
  plugin.env["KUBERNETES_EXEC_INFO"] =
      DumpJson({{"apiVersion", plugin.api_version}, {"kind", "ExecCredential"}, {"spec", std::move(spec)}});
  if (plugin.command.find('/') != std::string::npos) plugin.command = entry.Beside(plugin.command);
  return plugin;
}

Status ReadUser(const Entry& entry, const Environment& env, Clock& clock, const Entry& cluster,
                Connection& connection) {
  YBIS_TRY(Refuse(entry, "username", "basic authentication is not supported"));
  YBIS_TRY(Refuse(entry, "password", "basic authentication is not supported"));
  YBIS_TRY(Refuse(entry, "auth-provider", "is no longer part of Kubernetes; use an exec plugin"));
  for (const char* field : {"as", "as-uid", "as-groups", "as-user-extra"}) {
    YBIS_TRY(Refuse(entry, field, "impersonation is not supported"));
  }
  ObjectReader reader(entry.value, entry.where);
  YBIS_TRY(ReadCertificate(entry, reader, connection.tls));
  const std::string token = reader.String("token");
  const std::string token_file = reader.String("tokenFile");
  const json* exec = reader.Object("exec");
  YBIS_TRY(reader.Finish(false));
  if (!token_file.empty()) {  // as kubectl: the file goes before the token
    connection.token = std::make_shared<FileToken>(entry.Beside(token_file), clock);
    YBIS_TRY(FileOf(entry, "tokenFile", token_file));
  } else if (!token.empty()) {
    connection.token = std::make_shared<FixedToken>(token);
  } else if (exec != nullptr) {
    YBIS_ASSIGN(ExecPlugin plugin, ReadPlugin(entry, *exec, env, cluster, connection));
    const auto source = std::make_shared<ExecToken>(std::move(plugin), clock);
    connection.token = source;
    if (!connection.tls.client_certificate && connection.tls.client_cert_file.empty()) {
      connection.tls.client_certificate = [source]() -> Result<http::ClientCertificate> {
        return source->Certificate();
      };
    }
  }
  return {};
}

/// A token must not go over the network in the clear.
Status CheckScheme(const Connection& connection, const Entry& cluster) {
  YBIS_ASSIGN(const http::Url url, http::ParseUrl(connection.server));
  if (url.scheme == "https" || http::IsLoopback(url.host) || connection.token == nullptr) return {};
  return Fail(ErrorCode::kUnsupported,
              fmt::format("{}.server: a token over http:// to another machine is refused; use https://",
                          cluster.where));
}

}  // namespace

Result<Connection> KubeconfigConnection(const KubeconfigOptions& options, const Environment& env,
                                        Clock& clock, std::stop_token) {
  const std::vector<fs::path> files = Files(options, env);
  YBIS_ASSIGN(const Merged merged, Load(files));
  const std::string name = options.context.empty() ? merged.current_context : options.context;
  if (name.empty()) {
    return Fail(ErrorCode::kInvalid, fmt::format("{}: current-context is not set", files.front().string()));
  }
  YBIS_ASSIGN(const Entry context, Named(merged.contexts, name, "context"));
  ObjectReader reader(context.value, context.where);
  const std::string cluster_name = reader.RequiredString("cluster");
  const std::string user_name = reader.String("user");
  Connection connection;
  connection.default_namespace = reader.String("namespace", "default");
  if (connection.default_namespace.empty()) connection.default_namespace = "default";
  YBIS_TRY(reader.Finish(false));
  connection.source = fmt::format("{}, context {}", context.file.string(), name);
  YBIS_ASSIGN(const Entry cluster, Named(merged.clusters, cluster_name, context.where + ".cluster"));
  YBIS_TRY(ReadCluster(cluster, connection));
  if (!user_name.empty()) {
    YBIS_ASSIGN(const Entry user, Named(merged.users, user_name, context.where + ".user"));
    YBIS_TRY(ReadUser(user, env, clock, cluster, connection));
  }
  YBIS_TRY(CheckScheme(connection, cluster));
  return connection;
}

}  // namespace ybis::kube
