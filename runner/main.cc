// ybis-runner: walks one run of a task and reports to the control core.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/stop_signals.h"
#include "base/version.h"
#include "http/client.h"
#include "runner/sandbox/sandbox.h"
#include "runner/wiring.h"

namespace {

using namespace ybis;

constexpr const char* kFooter = R"(Exit codes:
  0    nothing is left to do: completed, blocked (a person is asked) or cancelled
  10   the task failed for good
  20   something around the task failed: worth a new attempt
  30   another runner holds the run now
  40   with --wait-when-blocked: the run is blocked, and waits for a person
  64   wrong flags
  143  terminated: the run was given back

Example:
  ybis-runner --run-id 6f1c2a9e-1 --api-url https://ybis-operator.ybis.svc:8443 \
    --api-ca /var/run/ybis/ca.crt --token-file /var/run/secrets/ybis/token --workspace /workspace
)";

std::string HostName() {
  char name[256] = "";
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "unknown";
}

void AddFlags(CLI::App& app, runner::RunnerFlags& flags, std::string& log_format, std::string& log_level) {
  app.add_option("--run-id", flags.run_id, "the run to walk")->envname("YBIS_RUN_ID")->required();
  app.add_option("--api-url", flags.api_url, "the control core's Run API: https://host:port or unix:/path")
      ->envname("YBIS_API_URL")
      ->required();
  app.add_option("--api-ca", flags.api_ca, "PEM file that verifies it; empty = the system's")
      ->envname("YBIS_API_CA");
  app.add_option("--token-file", flags.token_file, "bearer token that proves the run, read for each request")
      ->envname("YBIS_TOKEN_FILE")
      ->required();
  app.add_option("--workspace", flags.workspace, "volume for the repository and worktree")
      ->envname("YBIS_WORKSPACE")
      ->required();
  app.add_option("--git-credentials-dir", flags.git_credentials_dir,
                 "mounted Secret: username and password, token, or ssh-privatekey and known_hosts")
      ->envname("YBIS_GIT_CREDENTIALS_DIR");
  app.add_option("--git-ca-file", flags.git_ca_file, "PEM file that verifies the git server")
      ->envname("YBIS_GIT_CA_FILE");
  app.add_option(
         "--wait-when-blocked", flags.wait_when_blocked_seconds,
         "after the run has blocked, seconds to stay for SIGTERM, and exit with 40 instead of 0: so that a "
         "Job can be suspended before it is complete")
      ->envname("YBIS_WAIT_WHEN_BLOCKED")
      ->check(CLI::Range(int64_t{0}, int64_t{86'400}));
  app.add_option("--home", flags.home, "local mode: the user's home, for what their git ignores")
      ->envname("HOME");
  app.add_option("--xdg-config-home", flags.xdg_config, "local mode: likewise")->envname("XDG_CONFIG_HOME");
  app.add_flag("--allow-insecure-git", flags.allow_insecure_git,
               "allow http:// to a loopback address (tests)");
  app.add_option("--log-format", log_format, "json or text")
      ->envname("YBIS_LOG_FORMAT")
      ->check(CLI::IsMember({"json", "text"}));
  app.add_option("--log-level", log_level, "debug, info, warn or error")->envname("YBIS_LOG_LEVEL");
  app.set_version_flag("--version", std::string("ybis-runner ") + kYbisVersion);
  app.footer(kFooter);
}

}  // namespace

int main(int argc, char** argv) {
  const Status undumpable = runner::MakeUndumpable();
  runner::RunnerFlags flags{.host = HostName(), .version = kYbisVersion};
  std::string log_format = "json";
  std::string log_level = "info";
  CLI::App app("Walks one run of a YBIS task: claims it, changes and verifies a worktree, reports each step.",
               "ybis-runner");
  AddFlags(app, flags, log_format, log_level);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : static_cast<int>(runner::ExitCode::kUsage);
  }
  log::Init(log::LevelFromName(log_level), log_format == "json" ? log::Format::kJson : log::Format::kText);
  if (!undumpable) {
    log::Error("the runner cannot hide itself from its children", {{"error", undumpable.error().message}});
    return static_cast<int>(runner::ExitCode::kInfrastructure);
  }
  const StopOnSignals signals({.ignore_sigpipe = true});
  http::InitThreads(2);
  try {
    return static_cast<int>(runner::RunRunner(flags, signals.token()));
  } catch (const std::exception& bug) {
    log::Error("a bug ended the runner", {{"error", bug.what()}});
    return static_cast<int>(runner::ExitCode::kInfrastructure);
  }
}
