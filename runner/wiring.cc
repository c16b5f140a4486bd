#include "runner/wiring.h"

#include <re2/re2.h>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "http/client.h"
#include "http/unix_client.h"
#include "http/url.h"
#include "runner/engine/engine.h"
#include "runner/engine/workspace_lock.h"
#include "runner/nodes/sandbox_commands.h"
#include "runner/report/http_run_api.h"

namespace ybis::runner {
namespace {

constexpr Duration kDyingTime = std::chrono::seconds(10);  // of an earlier runner in the same workspace

}  // namespace

Status CheckApiUrl(const std::string& text) {
  if (text.starts_with("unix:")) return http::ParseUnixUrl(text).map([](const http::UnixUrl&) {});
  const auto url = http::ParseUrl(text);
  if (!url) return FailIn("--api-url", url.error());
  if (url->scheme == "https" || http::IsLoopback(url->host)) return {};
  return Fail(ErrorCode::kInvalid,
              "--api-url: must be an https:// address or unix:/path, since the run's token goes there");
}

namespace {

Status CheckFlags(const RunnerFlags& flags) {
  static const RE2 run_id(R"([A-Za-z0-9][A-Za-z0-9._-]{0,127})");
  if (!RE2::FullMatch(flags.run_id, run_id)) {
    return Fail(ErrorCode::kInvalid, "--run-id: must be 1 to 128 letters, digits, '.', '_' or '-'");
  }
  YBIS_TRY(CheckApiUrl(flags.api_url));
  if (!flags.workspace.is_absolute())
    return Fail(ErrorCode::kInvalid, "--workspace: must be an absolute path");
  return {};
}

EngineSettings SettingsOf(const RunnerFlags& flags) {
  return {.run_id = flags.run_id,
          .runner_version = flags.version,
          .host = flags.host,
          .workspace = {.directory = flags.workspace,
                        .credentials_dir = flags.git_credentials_dir,
                        .ca_file = flags.git_ca_file,
                        .allow_insecure_http = flags.allow_insecure_git,
                        .local = flags.api_url.starts_with("unix:"),
                        .user = {.home = flags.home, .xdg_config = flags.xdg_config}},
          .wait_when_blocked = std::chrono::seconds(flags.wait_when_blocked_seconds)};
}

bool IsBelow(const std::filesystem::path& path, const std::filesystem::path& folder) {
  const auto relative = path.lexically_relative(folder);
  return !relative.empty() && *relative.begin() != "..";
}

/// Secrets that a sandboxed command must never read, whatever the machine's layout. The token's whole folder,
/// since a projected token is a link within it, unless the volume lies there too.
std::vector<std::filesystem::path> HiddenFrom(const RunnerFlags& flags) {
  std::vector<std::filesystem::path> hidden = {flags.workspace / "private"};
  if (!flags.git_credentials_dir.empty()) hidden.push_back(flags.git_credentials_dir);
  const std::filesystem::path token_dir = flags.token_file.parent_path();
  hidden.push_back(IsBelow(flags.workspace, token_dir) ? flags.token_file : token_dir);
  return hidden;
}

std::unique_ptr<http::Transport> MakeTransport(const RunnerFlags& flags, bool local) {
  const std::string user_agent = "ybis-runner/" + flags.version;
  if (local) return std::make_unique<http::UnixClient>(user_agent);
  return std::make_unique<http::Client>(http::ClientSettings{
      .tls = {.system_roots = flags.api_ca.empty(), .ca_file = flags.api_ca}, .user_agent = user_agent});
}

}  // namespace

ExitCode RunRunner(const RunnerFlags& flags, std::stop_token terminate) {
  if (const Status checked = CheckFlags(flags); !checked) {
    log::Error(checked.error().message, {});
    return ExitCode::kUsage;
  }
  const auto lock = LockWorkspace(flags.workspace, kDyingTime, SystemClock(), terminate);
  if (!lock) {
    log::Error("the workspace is taken", {{"run", flags.run_id}, {"error", lock.error().message}});
    return terminate.stop_requested() ? ExitCode::kTerminated : ExitCode::kInfrastructure;
  }
  const bool local = flags.api_url.starts_with("unix:");
  const auto client = MakeTransport(flags, local);
  HttpRunApi api({.base_url = local ? flags.api_url + ":" : flags.api_url,
                  .run_id = flags.run_id,
                  .token_file = flags.token_file},
                 *client, SystemClock());
  SandboxCommands commands(HiddenFrom(flags), /*sysv_ipc=*/!local);
  Engine engine(SettingsOf(flags), api, commands, SystemClock());
  return engine.Run(std::move(terminate));
}

}  // namespace ybis::runner
