#include "operator/record/record_api.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "api/run_api.h"
#include "base/log.h"
#include "control/record_json.h"
#include "control/run_ledger.h"

namespace ybis::op {
namespace {

using http::Request;
using http::Response;
using nlohmann::json;

constexpr int64_t kMaxEvents = 1000;

class StoredRunRecords final : public RunRecords {
 public:
  explicit StoredRunRecords(store::Pool& pool) : ledger_(pool), catalog_(pool), journal_(pool) {}
  Result<control::RunRecord> Run(const std::string& run_id, std::stop_token stop) override {
    return ledger_.GetRun(run_id, std::move(stop));
  }
  Result<std::vector<control::JournalEntry>> Events(const std::string& run_id, int64_t after, int64_t limit,
                                                    std::stop_token stop) override {
    return journal_.Read(run_id, after, limit, std::move(stop));
  }
  Result<std::vector<control::NodeSummary>> Nodes(const std::string& run_id, int64_t after,
                                                  std::stop_token stop) override {
    return catalog_.Nodes(run_id, after, std::move(stop));
  }
  Result<std::vector<api::ArtifactRef>> Artifacts(const std::string& run_id, std::stop_token stop) override {
    return ledger_.ListArtifacts(run_id, std::move(stop));
  }
  Result<std::string> Artifact(const std::string& run_id, const std::string& name,
                               std::stop_token stop) override {
    return ledger_.GetArtifact(run_id, name, std::move(stop));
  }

 private:
  control::RunLedger ledger_;
  control::TaskCatalog catalog_;
  control::Journal journal_;
};

const char* ReasonOf(int status) {
  switch (status) {
    case 400:
      return "BadRequest";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "NotFound";
    default:
      return status == 503 ? "ServiceUnavailable" : "InternalError";
  }
}

Response StatusResponse(const Error& error, int status) {
  return http::JsonResponse({{"kind", "Status"},
                             {"apiVersion", "v1"},
                             {"metadata", json::object()},
                             {"status", "Failure"},
                             {"reason", ReasonOf(status)},
                             {"message", log::Redact(error.message)},
                             {"code", status}},
                            status);
}
Response StatusResponse(const Error& error) { return StatusResponse(error, http::StatusOf(error.code)); }

/// A whole number of the query; `fallback` when it is left out.
Result<int64_t> Number(const Request& request, const std::string& name, int64_t fallback, int64_t max) {
  const auto found = request.query.find(name);
  if (found == request.query.end()) return fallback;
  const std::string& text = found->second;
  int64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed == std::errc() && end == text.data() + text.size() && value >= 0 && value <= max) return value;
  return Fail(ErrorCode::kInvalid, fmt::format("{}: must be 0 to {}", name, max));
}

template <class T>
json ListOf(const char* kind, const std::vector<T>& values) {
  json items = json::array();
  // Found by argument: a journal entry's in control, an artifact's in api.
  for (const T& value : values) items.push_back(ToJson(value));
  return {{"apiVersion", control::kRecordApiVersion},
          {"kind", kind},
          {"metadata", json::object()},
          {"items", items}};
}

json RunObject(const control::RunRecord& run) {
  json out = {{"apiVersion", control::kRecordApiVersion},
              {"kind", "Run"},
              {"metadata",
               {{"name", run.run_id},
                {"namespace", run.task_namespace},
                {"creationTimestamp", FormatRfc3339(run.created)}}},
              {"task", run.task_name},
              {"taskUID", run.task_uid},
              {"number", run.number},
              {"attempt", run.attempt},
              {"state", ToString(run.state)},
              {"node", run.node}};
  if (run.started) out["startTime"] = FormatRfc3339(*run.started);
  if (run.finished) out["completionTime"] = FormatRfc3339(*run.finished);
  return out;
}

/// What a route does once it is known that its user may: an answer, or an error that becomes a Status.
using Read = std::function<Result<Response>(const RecordApi&, const Request&, const control::RunRecord&,
                                            std::stop_token)>;

Result<Response> ReadRun(const RecordApi&, const Request&, const control::RunRecord& run, std::stop_token) {
  return http::JsonResponse(RunObject(run));
}

Result<Response> ReadEvents(const RecordApi& api, const Request& request, const control::RunRecord& run,
                            std::stop_token stop) {
  YBIS_ASSIGN(const int64_t after, Number(request, "after", 0, INT64_MAX));
  YBIS_ASSIGN(const int64_t limit, Number(request, "limit", kMaxEvents, kMaxEvents));
  YBIS_ASSIGN(const auto events, api.records.Events(run.run_id, after, limit, std::move(stop)));
  return http::JsonResponse(ListOf("RunEventList", events));
}

Result<Response> ReadNodes(const RecordApi& api, const Request& request, const control::RunRecord& run,
                           std::stop_token stop) {
  YBIS_ASSIGN(const int64_t after, Number(request, "after", 0, INT64_MAX));
  YBIS_ASSIGN(const auto nodes, api.records.Nodes(run.run_id, after, std::move(stop)));
  return http::JsonResponse(ListOf("RunNodeList", nodes));
}

Result<Response> ReadArtifacts(const RecordApi& api, const Request&, const control::RunRecord& run,
                               std::stop_token stop) {
  YBIS_ASSIGN(const auto artifacts, api.records.Artifacts(run.run_id, std::move(stop)));
  return http::JsonResponse(ListOf("RunArtifactList", artifacts));
}

Result<Response> ReadArtifact(const RecordApi& api, const Request& request, const control::RunRecord& run,
                              std::stop_token stop) {
  // The API server decodes a path before it passes it on: a name's slashes are the path's own.
  std::string name = request.Param("a");
  for (const char* part : {"b", "c", "d"}) {
    if (const std::string more = request.Param(part); !more.empty()) name += "/" + more;
  }
  YBIS_ASSIGN(std::string bytes, api.records.Artifact(run.run_id, name, std::move(stop)));
  Response response;
  // Bytes of a repository: nothing may take them for a page.
  response.headers = {{"Content-Type", "application/octet-stream"}, {"X-Content-Type-Options", "nosniff"}};
  response.body = std::move(bytes);
  return response;
}

/// Identity, right and run, in this order: who may not read learns nothing about what there is.
Result<Response> Answer(const RecordApi& api, const Request& request, const std::string& part,
                        const Read& read, std::stop_token stop) {
  const RecordQuestion question{request.Param("ns"), request.Param("id"), part};
  YBIS_ASSIGN(const RemoteUser user, api.proxy.Identify(request, stop));
  if (const Status may = api.access.MayRead(user, question, stop); !may) {
    if (may.error().code != ErrorCode::kDenied) return Fail(may.error());
    return StatusResponse(may.error(), 403);
  }
  const auto run = api.records.Run(question.run_id, stop);
  const bool missing = run ? run->task_namespace != question.ns : run.error().code == ErrorCode::kNotFound;
  if (missing) {
    return Fail(ErrorCode::kNotFound,
                fmt::format("no record of run {} in namespace {}", question.run_id, question.ns));
  }
  if (!run) return Fail(run.error());
  return read(api, request, *run, stop);
}

http::Handler Handle(const RecordApi& api, std::string part, Read read) {
  return [api, part = std::move(part), read = std::move(read)](const Request& request, std::stop_token stop) {
    auto answer = Answer(api, request, part, read, std::move(stop));
    if (answer) return std::move(*answer);
    // Denied here means: not the API server. Its own denials of users are answers.
    const bool stranger = answer.error().code == ErrorCode::kDenied;
    return stranger ? StatusResponse(answer.error(), 401) : StatusResponse(answer.error());
  };
}

json Resource(const char* name, const char* kind) {
  return {{"name", name},
          {"singularName", std::string_view(name) == "runs" ? "run" : ""},
          {"namespaced", true},
          {"kind", kind},
          {"verbs", {"get"}}};
}

Response Discovery() {
  return http::JsonResponse(
      {{"kind", "APIResourceList"},
       {"apiVersion", "v1"},
       {"groupVersion", control::kRecordApiVersion},
       {"resources",
        {Resource("runs", "Run"), Resource("runs/events", "RunEventList"),
         Resource("runs/nodes", "RunNodeList"), Resource("runs/artifacts", "RunArtifactList")}}});
}

}  // namespace

std::unique_ptr<RunRecords> MakeStoredRunRecords(store::Pool& pool) {
  return std::make_unique<StoredRunRecords>(pool);
}

void AddRecordApi(http::Router& router, const RecordApi& api) {
  const std::string root = control::kRecordApiPath;
  // Says what the chart says: anybody may know it, and the API server asks without a user.
  router.Add("GET", root, [](const Request&, std::stop_token) { return Discovery(); });
  const std::string run = root + "/namespaces/{ns}/runs/{id}";
  router.Add("GET", run, Handle(api, "", ReadRun));
  router.Add("GET", run + "/events", Handle(api, "events", ReadEvents));
  router.Add("GET", run + "/nodes", Handle(api, "nodes", ReadNodes));
  router.Add("GET", run + "/artifacts", Handle(api, "artifacts", ReadArtifacts));
  std::string name = run + "/artifacts";
  for (const char* segment : {"/{a}", "/{b}", "/{c}", "/{d}"}) {
    name += segment;
    router.Add("GET", name, Handle(api, "artifacts", ReadArtifact));
  }
}

}  // namespace ybis::op
