#include "runner/nodes/sandbox_commands.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "runner/sandbox/sandbox.h"

namespace ybis::runner {
namespace {

constexpr size_t kMaxOutput = 256 * 1024;

SandboxPolicy PolicyOf(const CommandRequest& request, const std::vector<std::filesystem::path>& hidden) {
  SandboxPolicy policy;
  policy.writable = {request.worktree, request.scratch};
  policy.temp = request.scratch;
  if (!request.repository.empty()) policy.readable.push_back(request.repository);
  policy.hidden.insert(policy.hidden.end(), hidden.begin(), hidden.end());
  policy.network = request.network;
  policy.timeout = request.timeout;
  policy.max_output = kMaxOutput;
  policy.best_effort = request.best_effort;
  return policy;
}

/// On a volume whose files show another owner git would refuse the repository. It is the runner's own, and
/// whatever its hooks or settings could start would start in the sandbox.
std::map<std::string, std::string> Variables() {
  return {{"CI", "true"},
          {"PYTHONDONTWRITEBYTECODE", "1"},
          {"GIT_CONFIG_COUNT", "1"},
          {"GIT_CONFIG_KEY_0", "safe.directory"},
          {"GIT_CONFIG_VALUE_0", "*"}};
}

/// One text for people and models: what it printed, then what it complained of. Readers look at its end, so
/// that a compiler's many warnings must not push out which test has failed.
std::string JoinOutput(const SandboxResult& result) {
  constexpr size_t kEnd = 8 * 1024;
  constexpr size_t kErrorsEnd = 3 * 1024;
  std::string out = result.process.output;
  if (!out.empty() && !result.process.error_output.empty() && out.back() != '\n') out += '\n';
  std::string_view errors = result.process.error_output;
  const size_t room = std::max(kErrorsEnd, kEnd - std::min(kEnd, out.size()));
  if (errors.size() > room) {
    errors.remove_prefix(errors.size() - room);
    errors.remove_prefix(std::min(errors.size(), errors.find('\n') + 1));
  }
  out += errors;
  if (!result.stopped_for.empty()) {
    out += fmt::format("\n(stopped by the sandbox: over the limit of {})\n", result.stopped_for);
  }
  return out;
}

}  // namespace

Result<CommandResult> SandboxCommands::Run(const CommandRequest& request, std::stop_token stop) {
  const SandboxCommand command{
      .argv = request.argv, .directory = request.worktree, .env = Variables(), .input = request.input};
  SandboxPolicy policy = PolicyOf(request, hidden_);
  policy.sysv_ipc = sysv_ipc_;
  YBIS_ASSIGN(const SandboxResult result, RunSandboxed(policy, command, std::move(stop)));
  if (!result.unenforced.empty()) {
    log::Warn("the sandbox is incomplete on this machine", {{"missing", result.unenforced}});
  }
  return CommandResult{.exit_code = result.process.exit_code,
                       .timed_out = result.process.timed_out,
                       .stopped_for = result.stopped_for,
                       .output = JoinOutput(result),
                       .elapsed = result.process.elapsed};
}

bool SandboxCommands::IsInstalled(const std::string& program) const {
  if (program.find('/') != std::string::npos) return true;
  for (const char* folder : {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}) {
    if (access(fmt::format("{}/{}", folder, program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

}  // namespace ybis::runner
