#pragma once
// Builds the runner out of its parts.
#include <filesystem>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "runner/engine/exit_code.h"

namespace ybis::runner {

/// What flags and environment say; see --help.
struct RunnerFlags {
  std::string run_id;
  std::string api_url;  ///< https://host:port; unix:/path in local mode
  std::filesystem::path api_ca;
  std::filesystem::path token_file;
  std::filesystem::path workspace;
  std::filesystem::path git_credentials_dir;
  std::filesystem::path git_ca_file;
  std::string host;
  std::string version;
  int64_t wait_when_blocked_seconds = 0;  ///< see ExitCode::kBlocked
  bool allow_insecure_git = false;
  std::filesystem::path home;        ///< local mode: whose configuration says what git ignores
  std::filesystem::path xdg_config;  ///< likewise
};

/// Whether the run's token may go to that address: https, a Unix socket, or http to this machine. kInvalid
/// says what is wrong.
Status CheckApiUrl(const std::string& text);

/// Checks the flags and runs the one run to its end. Blocks; `terminate` is SIGTERM.
ExitCode RunRunner(const RunnerFlags& flags, std::stop_token terminate);

}  // namespace ybis::runner
