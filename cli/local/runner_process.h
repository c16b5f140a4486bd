#pragma once
// ybis-runner as a child process.
#include <filesystem>
#include <stop_token>
#include <string>

#include "api/task.h"
#include "base/process.h"
#include "cli/local/folders.h"

namespace ybis::cli {

/// Beside this program, else on PATH; YBIS_RUNNER names another. kNotFound says where it was looked for.
Result<std::filesystem::path> FindRunner(const Environment& environment);

/// What one start of the runner needs.
struct RunnerStart {
  std::filesystem::path program;
  std::string run_id;
  std::string api_url;  ///< unix:/path
  std::string token;
  std::filesystem::path workspace;  ///< made if need be; its runner.log gets what the runner says
  std::filesystem::path credentials_dir;
  std::filesystem::path ca_file;
  Environment environment;  ///< of the caller: PATH, the proxies and where git is configured are passed on
};

/// Whether what has this name in a workspace is made anew by the next runner, or is for one runner alone:
/// checkouts, its token, its lock. Nobody needs it once the run is over, and no backup.
bool IsScratch(const std::string& name);

/// Runs it to its end. A stop request sends SIGTERM, and SIGKILL after 20 s; it dies with this process at
/// once. The token lies in a file of mode 0600 while it runs, hidden from what the runner itself starts.
Result<ProcessResult> RunRunner(const RunnerStart& start, std::stop_token stop);

/// The folder that plays the Secret a task names, or the error that says how to make it. Empty name: empty
/// path.
Result<std::filesystem::path> SecretFolder(const Folders& folders, const std::string& name);

}  // namespace ybis::cli
