#include "runner/engine/run_folder.h"

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/remove_tree.h"

namespace ybis::runner {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

Outcome<void> MakeFolder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) return {};
  YBIS_TRY_FAULT(FaultSource::kWorkspace,
                 Status(Fail(ErrorCode::kUnavailable,
                             fmt::format("cannot make {}: {}", folder.string(), error.message()))));
  return {};
}

}  // namespace

RunFolder::RunFolder(fs::path path, RunLease lease, RunApi& api)
    : path_(std::move(path)), lease_(std::move(lease)), api_(&api) {}

Outcome<RunFolder> RunFolder::Create(const fs::path& workspace, RunLease lease, RunApi& api) {
  const fs::path path = workspace / "runs" / lease.run_id;
  for (const char* folder : {"artifacts", "nodes"}) YBIS_PASS(MakeFolder(path / folder));
  RunFolder folder(path, std::move(lease), api);
  YBIS_PASS(folder.FreshScratch());
  return folder;
}

Outcome<void> RunFolder::FreshScratch() {
  YBIS_TRY_FAULT(FaultSource::kWorkspace, RemoveTree(scratch()));
  return MakeFolder(scratch());
}

Outcome<void> RunFolder::Write(const fs::path& file, const std::string& bytes) {
  YBIS_TRY_FAULT(FaultSource::kWorkspace, WriteFileAtomic(file, bytes));
  return {};
}

Outcome<void> RunFolder::PutArtifact(const std::string& name, const std::string& bytes,
                                     std::stop_token stop) {
  std::string digest = Digest(bytes);
  if (const auto it = uploaded_.find(name); it != uploaded_.end() && it->second == digest) return {};
  YBIS_TRY_FAULT(FaultSource::kRunApi, api_->PutArtifact(lease_.epoch, name, bytes, std::move(stop)));
  YBIS_PASS(Write(path_ / "artifacts" / name, bytes));
  uploaded_[name] = std::move(digest);
  return {};
}

Outcome<void> RunFolder::PutArtifact(const std::string& name, const json& value, std::stop_token stop) {
  return PutArtifact(name, DumpJsonPretty(value), std::move(stop));
}

Outcome<std::string> RunFolder::GetArtifact(const std::string& name, std::stop_token stop) {
  if (auto bytes = ReadFile(path_ / "artifacts" / name)) return std::move(*bytes);
  if (!lease_.has_past) return std::string();
  auto bytes = api_->GetArtifact(name, std::move(stop));
  if (bytes) return std::move(*bytes);
  if (bytes.error().code == ErrorCode::kNotFound) return std::string();
  return FaultUnexpected(FaultOf(FaultSource::kRunApi, bytes.error()));
}

Outcome<void> RunFolder::PutNodeFile(int64_t seq, const std::string& node, const std::string& file,
                                     const json& value, std::stop_token stop) {
  const std::string folder = fmt::format("{:04}-{}", seq, node);
  std::error_code error;
  fs::create_directories(path_ / "nodes" / folder, error);
  const std::string bytes = DumpJsonPretty(value);
  YBIS_PASS(Write(path_ / "nodes" / folder / file, bytes));
  YBIS_TRY_FAULT(FaultSource::kRunApi,
                 api_->PutArtifact(lease_.epoch, folder + "/" + file, bytes, std::move(stop)));
  return {};
}

}  // namespace ybis::runner
