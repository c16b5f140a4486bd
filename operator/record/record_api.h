#pragma once
// record.ybis.dev/v1alpha1: the record of runs as an aggregated API, read only. The API server passes
// requests on; every answer is for the user that it names.
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "api/task.h"
#include "control/journal.h"
#include "control/run_record.h"
#include "control/task_catalog.h"
#include "http/server_router.h"
#include "operator/record/front_proxy.h"
#include "operator/record/record_access.h"

namespace ybis::op {

/// What is read. Implementations are thread-safe.
class RunRecords {
 public:
  virtual ~RunRecords() = default;
  /// kNotFound when there is no such run.
  virtual Result<control::RunRecord> Run(const std::string& run_id, std::stop_token stop) = 0;
  virtual Result<std::vector<control::JournalEntry>> Events(const std::string& run_id, int64_t after,
                                                            int64_t limit, std::stop_token stop) = 0;
  virtual Result<std::vector<control::NodeSummary>> Nodes(const std::string& run_id, int64_t after,
                                                          std::stop_token stop) = 0;
  virtual Result<std::vector<api::ArtifactRef>> Artifacts(const std::string& run_id,
                                                          std::stop_token stop) = 0;
  virtual Result<std::string> Artifact(const std::string& run_id, const std::string& name,
                                       std::stop_token stop) = 0;
};

/// Over Postgres.
std::unique_ptr<RunRecords> MakeStoredRunRecords(store::Pool& pool);

struct RecordApi {
  RunRecords& records;
  FrontProxy& proxy;
  RecordAccess& access;
};
/// Adds the routes below /apis/record.ybis.dev; what `api` refers to must outlive the server.
///   /v1alpha1                                       what there is, for discovery
///   /v1alpha1/namespaces/{ns}/runs/{id}             one run
///   …/events?after=ID&limit=N, …/nodes?after=SEQ    lists
///   …/artifacts, …/artifacts/NAME                   a list; the bytes of one
/// Without the API server's client certificate: 401. Errors are metav1.Status objects.
void AddRecordApi(http::Router& router, const RecordApi& api);

}  // namespace ybis::op
