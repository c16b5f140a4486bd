#pragma once
// Recorded exchanges with a model: one JSON file each, matched so loosely that they outlive small edits of
// the prompts. The format is told in configs/recordings/README.md.
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/sync.h"
#include "model/provider.h"

namespace ybis::model {

/// Instead of an answer: an HTTP error, or silence.
struct RecordedFault {
  int status = 0;  ///< 0 = none
  std::chrono::milliseconds retry_after{0};
  std::chrono::milliseconds stall{0};  ///< waited before anything is answered
  std::string message;
  bool IsError() const { return status != 0; }
};

struct Recording {
  std::string source;  ///< path of the file
  std::string schema;  ///< name of the asked schema; "" = free text, "*" = any
  std::vector<std::string> contains;
  std::vector<std::string> lacks;
  int64_t occurrence = 0;      ///< from 1: of the requests of one run that fit; 0 = every one
  std::string request_digest;  ///< not empty: this very request, before all others
  Completion response;
  RecordedFault fault;

  bool Fits(const CompletionRequest& request, const std::string& text) const;
  /// What is counted together: the match without its occurrence.
  std::string Key() const;
};

/// Strict: unknown fields, wrong types and contradictions name file and field.
Result<Recording> ParseRecording(const nlohmann::json& value, const std::string& source);
/// Every *.json below a folder, ordered by path. An empty folder is an error.
Result<std::vector<Recording>> LoadRecordings(const std::filesystem::path& dir);
/// The form that ParseRecording reads, with the request for people to look at.
nlohmann::json MakeRecording(const CompletionRequest& request, const Completion& response,
                             int64_t occurrence);

/// Digest of what is asked: messages and schema's name.
std::string CompletionDigest(const CompletionRequest& request);

/// Finds the recording for a request and counts occurrences per run. The same request again gets the same
/// answer (but a fault is not repeated for its own sake). Thread-safe.
class RecordingSet {
 public:
  explicit RecordingSet(std::vector<Recording> recordings) : recordings_(std::move(recordings)) {}
  /// kInvalid when nothing fits: the message says what was asked and how near each recording came.
  Result<Recording> Find(const CompletionRequest& request);

 private:
  struct Group {
    std::map<std::string, int64_t> counts;             ///< by Key
    std::map<std::string, const Recording*> answered;  ///< by CompletionDigest
  };
  const Recording* Choose(const CompletionRequest& request, const std::string& digest, Group& group);
  Unexpected Nothing(const CompletionRequest& request) const;

  const std::vector<Recording> recordings_;
  Sync<std::map<std::string, Group>> groups_;
};

}  // namespace ybis::model
