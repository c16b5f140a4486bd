#pragma once
// An API server in memory behind the real client: YbisTasks and YbisWorkflows of one namespace, pods with
// logs, the record, and whatever else a test answers by path.
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/cluster/cluster_backend.h"
#include "http/client.h"

namespace ybis::cli {

/// Not thread-safe: the backend under test calls from one thread.
class FakeCluster final : public http::Transport {
 public:
  using Json = nlohmann::json;
  struct Asked {
    std::string method;
    std::string path;  ///< with its query
    Json body;
  };

  /// Paths without query to objects; a collection's path ends without a slash and lists what is below it.
  std::map<std::string, Json> objects;
  /// Exact paths with their query to texts (logs, artifacts).
  std::map<std::string, std::string> texts;
  /// Asked first; an answer wins.
  std::function<std::optional<http::ClientResponse>(const Asked&)> answer;
  std::vector<Asked> asked;

  static constexpr const char* kTasks = "/apis/ybis.dev/v1alpha1/namespaces/team/ybistasks";
  static constexpr const char* kRuns = "/apis/record.ybis.dev/v1alpha1/namespaces/team/runs/";

  Json& AddTask(const std::string& name, const std::string& phase,
                const std::string& uid_start = "abcd1234") {
    Json& task = objects[std::string(kTasks) + "/" + name];
    task = {{"apiVersion", "ybis.dev/v1alpha1"},
            {"kind", "YbisTask"},
            {"metadata",
             {{"name", name},
              {"namespace", "team"},
              {"uid", uid_start + "-0000-4000-8000-000000000000"},
              {"generation", 1},
              {"resourceVersion", "7"},
              {"creationTimestamp", "2026-01-02T03:04:05Z"}}},
            {"spec", {{"objective", "Do it"}, {"repository", {{"url", "https://git.example.com/x.git"}}}}},
            {"status",
             {{"observedGeneration", 1},
              {"phase", phase},
              {"run", {{"id", uid_start + "-1"}, {"number", 1}, {"attempt", 1}, {"jobName", "j"}}}}}};
    return task;
  }

  static http::ClientResponse Refuse(int status, const std::string& reason, const std::string& message) {
    const Json body = {{"kind", "Status"}, {"reason", reason}, {"message", message}, {"code", status}};
    return {status, {}, body.dump()};
  }

  std::unique_ptr<ClusterBackend> Backend() {
    kube::Connection connection;
    connection.server = "https://api.example.com:6443";
    Cluster cluster;
    kube::ClientSettings settings;
    settings.max_retries = 0;
    settings.field_validation = "Strict";
    cluster.client = std::make_unique<kube::KubeClient>(*this, connection, SystemClock(), settings);
    cluster.namespace_name = "team";
    cluster.source = "https://api.example.com:6443 (context test)";
    return std::make_unique<ClusterBackend>(std::move(cluster), CommandForm{"ybis", " --backend cluster"});
  }

  Result<http::ClientResponse> Send(const http::ClientRequest& request, std::stop_token) override {
    const std::string server = "https://api.example.com:6443";
    Asked call{request.method, request.url.substr(server.size()),
               request.body.empty() ? Json() : Json::parse(request.body)};
    asked.push_back(call);
    if (answer) {
      if (auto given = answer(call)) return *given;
    }
    if (const auto text = texts.find(call.path); text != texts.end())
      return http::ClientResponse{200, {}, text->second};
    const std::string path = call.path.substr(0, call.path.find('?'));
    if (request.method == "GET") return Get(path);
    if (request.method == "POST") return Post(path, call.body);
    if (request.method == "PATCH") return Patch(path, call.body);
    return Refuse(405, "MethodNotAllowed", "not here");
  }

  Status Stream(const http::ClientRequest& request, const http::StreamHandler& handler,
                std::stop_token stop) override {
    YBIS_ASSIGN(const http::ClientResponse response, Send(request, stop));
    http::ClientResponse head = response;
    head.body.clear();
    YBIS_TRY(handler.on_head(head));
    return handler.on_chunk(response.body);
  }

 private:
  http::ClientResponse Get(const std::string& path) {
    if (const auto found = objects.find(path); found != objects.end()) return {200, {}, found->second.dump()};
    Json items = Json::array();
    for (const auto& [at, object] : objects) {
      if (at.starts_with(path + "/") && at.find('/', path.size() + 1) == std::string::npos)
        items.push_back(object);
    }
    const bool collection = path.ends_with("ybistasks") || path.ends_with("ybisworkflows") ||
                            path.ends_with("ybisapprovals") || path.ends_with("pods");
    if (collection)
      return {
          200, {}, Json{{"kind", "List"}, {"metadata", {{"resourceVersion", "9"}}}, {"items", items}}.dump()};
    if (path.starts_with("/apis/record")) return {404, {}, "404 page not found"};
    return Refuse(404, "NotFound", "not found: " + path);
  }
  http::ClientResponse Post(const std::string& path, const Json& body) {
    const std::string at = path + "/" + body["metadata"]["name"].get<std::string>();
    if (objects.contains(at)) return Refuse(409, "AlreadyExists", "already exists");
    Json object = body;
    object["metadata"]["uid"] = "abcd1234-0000-4000-8000-000000000000";
    object["metadata"]["creationTimestamp"] = "2026-01-02T03:04:05Z";
    object["metadata"]["generation"] = 1;
    objects[at] = object;
    return {201, {}, object.dump()};
  }
  http::ClientResponse Patch(const std::string& path, const Json& body) {
    const auto found = objects.find(path);
    if (found == objects.end()) return Refuse(404, "NotFound", "not found");
    found->second.merge_patch(body);
    found->second["metadata"]["generation"] = found->second["metadata"]["generation"].get<int>() + 1;
    return {200, {}, found->second.dump()};
  }
};

}  // namespace ybis::cli
