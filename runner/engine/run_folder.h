#pragma once
// What a run leaves behind: runs/<run_id>/ on the volume, and the same uploaded to the record.
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>

#include "runner/engine/fault.h"
#include "runner/report/run_api.h"

namespace ybis::runner {

/// Which run, under which lease.
struct RunLease {
  std::string run_id;
  int64_t epoch = 0;
  int64_t attempt = 1;
  int64_t infra_failures = 0;
  std::string trace_id;   ///< stands in every line of the log; may be empty
  bool has_past = false;  ///< an earlier attempt, or an earlier run that this one goes on from
};

/// Writes a run's files and uploads them. Not thread-safe; the API must outlive it.
///   artifacts/{spec,plan,verifier,gate}.json, patch.diff, logs.jsonl   the standard artifacts
///   nodes/<seq>-<name>/{input,output}.json                              what went into a node and came out
///   tmp/                                                                scratch of one node's sandboxed
///   commands
class RunFolder {
 public:
  static Outcome<RunFolder> Create(const std::filesystem::path& workspace, RunLease lease, RunApi& api);

  /// Uploads an artifact and then writes it, so that what a later attempt finds on the volume is in the
  /// record too: `name` is one of those above. Writing the same bytes again in this process uploads nothing.
  Outcome<void> PutArtifact(const std::string& name, const std::string& bytes, std::stop_token stop);
  Outcome<void> PutArtifact(const std::string& name, const nlohmann::json& value, std::stop_token stop);
  /// From the volume or, on a new one, from the record; empty when no attempt made it.
  Outcome<std::string> GetArtifact(const std::string& name, std::stop_token stop);

  /// nodes/<seq>-<name>/<file>, on the volume and in the record (as "<seq>-<name>/<file>").
  Outcome<void> PutNodeFile(int64_t seq, const std::string& node, const std::string& file,
                            const nlohmann::json& value, std::stop_token stop);

  /// Empties scratch(). It is the HOME of sandboxed commands: what one node's commands put there (a start-up
  /// file of Python, a configuration of cargo) must not decide what a later node's commands say.
  Outcome<void> FreshScratch();

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path scratch() const { return path_ / "tmp"; }
  const RunLease& lease() const { return lease_; }

 private:
  RunFolder(std::filesystem::path path, RunLease lease, RunApi& api);
  Outcome<void> Write(const std::filesystem::path& file, const std::string& bytes);

  std::filesystem::path path_;
  RunLease lease_;
  RunApi* api_;
  std::map<std::string, std::string> uploaded_;  ///< artifact name to digest
};

}  // namespace ybis::runner
