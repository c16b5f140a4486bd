#include "cli/cluster/record_reader.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "api/run_api.h"
#include "base/json.h"
#include "control/record_json.h"
#include "http/url.h"

namespace ybis::cli {
namespace {

using nlohmann::json;

/// What is missing is either the record's API or a thing of the record; the latter answers with a Status of
/// its own group.
bool IsApiMissing(const Error& error) {
  return error.code == ErrorCode::kNotFound && error.message.find("no record of") == std::string::npos &&
         error.message.find("has no artifact") == std::string::npos;
}

Error Explained(Error error) {
  if (IsApiMissing(error)) {
    error.code = ErrorCode::kUnsupported;
    error.message =
        "the cluster does not serve the record of runs: the chart's value recordApi.enabled is off, or its "
        "operator is older";
  } else if (error.code == ErrorCode::kUnavailable) {
    error.message =
        "the record of runs (APIService v1alpha1.record.ybis.dev) does not answer; is the operator up? " +
        error.message;
  }
  return error;
}

template <class T>
Result<std::vector<T>> ReadItems(const json& items, Result<T> (*parse)(const json&)) {
  std::vector<T> out;
  for (const json& item : items) {
    YBIS_ASSIGN(T value, parse(item));
    out.push_back(std::move(value));
  }
  return out;
}

}  // namespace

Result<std::string> RecordReader::Get(const std::string& run_id, const std::string& rest,
                                      std::stop_token stop) {
  if (run_id.empty()) return Fail(ErrorCode::kNotFound, "the task has no run yet");
  auto body = client_.GetRaw(fmt::format("{}/namespaces/{}/runs/{}{}", control::kRecordApiPath,
                                         http::EncodeComponent(ns_), http::EncodeComponent(run_id), rest),
                             stop);
  if (!body) return Fail(Explained(body.error()));
  return body;
}

Result<json> RecordReader::GetItems(const std::string& run_id, const std::string& rest,
                                    std::stop_token stop) {
  YBIS_ASSIGN(const std::string body, Get(run_id, rest, stop));
  YBIS_ASSIGN(json list, ParseJson(body, "record of run " + run_id, {.max_bytes = 64 * 1024 * 1024}));
  if (!list.is_object() || !list.contains("items") || !list["items"].is_array())
    return Fail(ErrorCode::kInvalid, fmt::format("record of run {}: items is not a list", run_id));
  return std::move(list["items"]);
}

Result<std::vector<control::NodeSummary>> RecordReader::Nodes(const std::string& run_id, int64_t after,
                                                              std::stop_token stop) {
  YBIS_ASSIGN(const json items, GetItems(run_id, fmt::format("/nodes?after={}", after), stop));
  return ReadItems<control::NodeSummary>(items, control::ParseNodeSummary);
}

Result<std::vector<control::JournalEntry>> RecordReader::Events(const std::string& run_id, int64_t after,
                                                                int64_t limit, std::stop_token stop) {
  YBIS_ASSIGN(const json items,
              GetItems(run_id, fmt::format("/events?after={}&limit={}", after, limit), stop));
  return ReadItems<control::JournalEntry>(items, control::ParseJournalEntry);
}

Result<std::vector<api::ArtifactRef>> RecordReader::Artifacts(const std::string& run_id,
                                                              std::stop_token stop) {
  YBIS_ASSIGN(const json items, GetItems(run_id, "/artifacts", stop));
  return ReadItems<api::ArtifactRef>(items, api::ParseArtifactRef);
}

Result<std::string> RecordReader::Artifact(const std::string& run_id, const std::string& name,
                                           std::stop_token stop) {
  std::string path = "/artifacts";
  for (size_t at = 0; at <= name.size();) {
    const size_t end = std::min(name.find('/', at), name.size());
    path += "/" + http::EncodeComponent(name.substr(at, end - at));
    at = end + 1;
  }
  return Get(run_id, path, stop);
}

}  // namespace ybis::cli
