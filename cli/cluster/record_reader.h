#pragma once
// The record behind a cluster's operator, read through the API server (record.ybis.dev, docs/operations.md).
#include <stop_token>
#include <string>
#include <vector>

#include "api/task.h"
#include "control/journal.h"
#include "control/task_catalog.h"
#include "kube/client.h"

namespace ybis::cli {

/// The record of the runs of one namespace. kUnsupported when the cluster does not serve it (the chart's
/// recordApi.enabled), kUnavailable when its operator does not answer, kNotFound, kDenied. Thread-safe; the
/// client must outlive it.
class RecordReader {
 public:
  RecordReader(kube::KubeClient& client, std::string ns) : client_(client), ns_(std::move(ns)) {}

  Result<std::vector<control::NodeSummary>> Nodes(const std::string& run_id, int64_t after,
                                                  std::stop_token stop);
  Result<std::vector<control::JournalEntry>> Events(const std::string& run_id, int64_t after, int64_t limit,
                                                    std::stop_token stop);
  Result<std::vector<api::ArtifactRef>> Artifacts(const std::string& run_id, std::stop_token stop);
  Result<std::string> Artifact(const std::string& run_id, const std::string& name, std::stop_token stop);

 private:
  Result<std::string> Get(const std::string& run_id, const std::string& rest, std::stop_token stop);
  Result<nlohmann::json> GetItems(const std::string& run_id, const std::string& rest, std::stop_token stop);

  kube::KubeClient& client_;
  std::string ns_;
};

}  // namespace ybis::cli
