#include "control/health_checks.h"

#include <fmt/format.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "control/backup_manifest.h"
#include "control/task_catalog.h"
#include "http/client.h"
#include "store/migrations.h"

namespace ybis::control {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

constexpr auto kProbeTime = 4s;
constexpr size_t kLongestManifest = 1024 * 1024;

HealthFinding Ok(std::string check, std::string name, std::string message) {
  return {std::move(check), std::move(name), HealthGrade::kOk, std::move(message), {}};
}

HealthFinding Warning(std::string check, std::string name, std::string message, std::string remedy) {
  return {std::move(check), std::move(name), HealthGrade::kWarning, std::move(message), std::move(remedy)};
}

HealthFinding Broken(std::string check, std::string name, std::string message, std::string remedy) {
  return {std::move(check), std::move(name), HealthGrade::kBroken, std::move(message), std::move(remedy)};
}

/// DatabaseCheck tells why; the checks beside it do not repeat it.
HealthFinding WithoutDatabase(const std::string& check) {
  return Broken(check, "", "not known: the database does not answer", "mend the database first");
}

/// The folder itself, else the nearest one above it that is there.
fs::path Nearest(fs::path at) {
  std::error_code error;
  while (!fs::exists(at, error) && at.has_relative_path()) at = at.parent_path();
  return at;
}

Result<http::ClientResponse> AskForModels(const ModelConfig& model, std::stop_token stop) {
  http::ClientRequest request;
  request.url = model.endpoint + (model.endpoint.ends_with('/') ? "models" : "/models");
  request.timeout = kProbeTime;
  request.max_response_bytes = 8U * 1024 * 1024;
  if (!model.api_key_file.empty()) {
    YBIS_ASSIGN(std::string key, ReadFile(model.api_key_file, 64 * 1024));
    while (!key.empty() && std::isspace(static_cast<unsigned char>(key.back())) != 0) key.pop_back();
    log::RegisterSecret(key);
    request.headers["Authorization"] = "Bearer " + key;
  }
  http::ClientSettings settings;
  settings.tls.ca_file = model.ca_file;
  settings.tls.system_roots = model.ca_file.empty();
  http::Client client(settings);
  return client.Send(request, std::move(stop));
}

HealthFinding LookAtEndpoint(const ModelConfig& model, std::stop_token stop) {
  const auto answer = AskForModels(model, std::move(stop));
  if (!answer) {
    return Broken("model", model.name, fmt::format("{}: {}", model.endpoint, answer.error().message),
                  "check models[].endpoint, caFile and the network");
  }
  if (answer->status == 401 || answer->status == 403) {
    return Broken("model", model.name,
                  fmt::format("{} refuses the key (HTTP {})", model.endpoint, answer->status),
                  model.api_key_file.empty() ? "name a key in models[].apiKeyFile"
                                             : "put a valid key into " + model.api_key_file);
  }
  // Not every server has this route, and one that limits or repairs itself is there all the same.
  if (answer->status >= 500 || answer->status == 429) {
    return Warning("model", model.name, fmt::format("{} answers HTTP {}", model.endpoint, answer->status),
                   "runs wait and try again; look at the endpoint when it stays so");
  }
  return Ok("model", model.name, model.endpoint + " answers");
}

/// When the newest backup below the folder was made; nothing when there is none.
std::optional<TimePoint> NewestBackup(const fs::path& folder, std::string& name) {
  std::optional<TimePoint> newest;
  std::error_code error;
  for (fs::directory_iterator entries(folder, error), end; !error && entries != end;
       entries.increment(error)) {
    const fs::directory_entry& entry = *entries;
    // What is being made, or was left half made, is none yet.
    if (!ParseBackupName(entry.path().filename().string())) continue;
    const auto text = ReadFile(entry.path() / kManifestFile, kLongestManifest);
    if (!text) continue;
    const auto manifest = ParseManifest(*text, kManifestFile);
    if (!manifest || manifest->safety || (newest && manifest->created <= *newest)) continue;
    newest = manifest->created;
    name = entry.path().filename();
  }
  return newest;
}

}  // namespace

HealthCheck DatabaseCheck(store::Pool& pool, std::string where) {
  return [&pool, where = std::move(where)](std::stop_token stop) {
    const auto version = pool.Execute("SHOW server_version", {}, std::move(stop), store::InDoubt::kRepeat);
    if (!version) {
      return Broken("database", "", version.error().message,
                    "see that the server runs and that its address is right (" + where + ")");
    }
    return Ok("database", "", fmt::format("PostgreSQL {}, {}", (*version)[0].Text(0), where));
  };
}

HealthCheck MigrationsCheck(store::Pool& pool) {
  return [&pool](std::stop_token stop) {
    const Status schema = store::Migrator(pool).Check(std::move(stop));
    if (schema) return Ok("migrations", "", fmt::format("at version {}", store::BuiltInMigrations().size()));
    if (schema.error().code == ErrorCode::kUnavailable) return WithoutDatabase("migrations");
    return Broken("migrations", "", schema.error().message,
                  "`ybis db status` shows them, `ybis db migrate` applies what is pending");
  };
}

HealthCheck LeasesCheck(store::Pool& pool, std::function<bool(const std::string&)> is_gone) {
  return [&pool, is_gone = std::move(is_gone)](std::stop_token stop) {
    const auto leases = TaskCatalog(pool).Leases(std::move(stop));
    if (!leases) {
      if (leases.error().code == ErrorCode::kUnavailable) return WithoutDatabase("leases");
      return Broken("leases", "", leases.error().message, "`ybis db migrate` brings the tables up to date");
    }
    const auto lost = std::count_if(leases->begin(), leases->end(), [&](const LeaseSummary& lease) {
      return (lease.left && lease.left->count() < 0) || (is_gone && is_gone(lease.holder));
    });
    if (lost == 0) return Ok("leases", "", fmt::format("{} runs under way, none overdue", leases->size()));
    return Warning("leases", "", fmt::format("{} of {} runs have lost their worker", lost, leases->size()),
                   "a worker (or the operator's leader) takes them up: see that one runs");
  };
}

HealthCheck DiskCheck(fs::path folder, int64_t min_free_mib) {
  return [folder = std::move(folder), min_free_mib](std::stop_token) {
    std::error_code error;
    const fs::space_info space = fs::space(Nearest(folder), error);
    if (error) {
      return Warning("disk", "", fmt::format("{}: {}", folder.string(), error.message()),
                     "see that the folder can be reached");
    }
    const auto mib = static_cast<int64_t>(space.available >> 20U);
    const std::string text =
        fmt::format("{:.1f} GiB free at {}", static_cast<double>(mib) / 1024, folder.string());
    if (mib >= min_free_mib) return Ok("disk", "", text);
    const std::string remedy =
        fmt::format("make room: {} MiB are wanted (health.minFreeDiskMiB)", min_free_mib);
    return mib * 10 < min_free_mib ? Broken("disk", "", text, remedy) : Warning("disk", "", text, remedy);
  };
}

HealthCheck GitCheck(fs::path program) {
  return [program = std::move(program)](std::stop_token stop) {
    ProcessSpec spec;
    spec.argv = {program, "--version"};
    spec.timeout = kProbeTime;
    const auto result = RunProcess(spec, std::move(stop));
    if (!result || result->exit_code != 0)
      return Broken("git", "", program.string() + " does not run", "apt-get install git");
    const std::string& text = result->output;
    return Ok("git", "", text.substr(0, std::min<size_t>(text.find('\n'), 60)));
  };
}

HealthCheck SandboxCheck(bool best_effort) {
  return [best_effort](std::stop_token) {
    const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return SandboxFinding(abi, ::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0, best_effort);
  };
}

HealthFinding SandboxFinding(int64_t landlock, bool seccomp, bool best_effort) {
  if (landlock > 0 && seccomp)
    return Ok("sandbox", "", fmt::format("Landlock version {}, seccomp", landlock));
  const std::string missing = fmt::format("this kernel lacks {}{}{}", landlock > 0 ? "" : "Landlock",
                                          landlock > 0 || seccomp ? "" : " and ", seccomp ? "" : "seccomp");
  if (best_effort)
    return Warning("sandbox", "", missing, "runs go on without it, for policy.sandbox is best-effort");
  return Broken("sandbox", "", missing,
                "runs are refused: use another kernel, or set policy.sandbox to best-effort");
}

HealthCheck ModelCheck(ModelConfig model) {
  return [model = std::move(model)](std::stop_token stop) {
    std::error_code ignored;
    if (!model.api_key_file.empty() && ::access(model.api_key_file.c_str(), R_OK) != 0) {
      return Broken("model", model.name, "its apiKeyFile " + model.api_key_file + " cannot be read",
                    "make the file, readable for the user of this program");
    }
    if (model.provider != "replay") return LookAtEndpoint(model, std::move(stop));
    if (fs::is_directory(model.replay_dir, ignored))
      return Ok("model", model.name, "recorded answers of " + model.replay_dir);
    return Broken("model", model.name, "its replayDir " + model.replay_dir + " is no folder",
                  "name a folder of recordings");
  };
}

std::vector<HealthCheck> ModelChecks(const Config& config) {
  std::vector<HealthCheck> checks;
  for (const ModelConfig& model : config.models) checks.push_back(ModelCheck(model));
  if (checks.empty()) {
    checks.emplace_back([](std::stop_token) {
      return Warning("model", "", "none configured: runs fail at their first model call",
                     "name one under `models`; see docs/configuration.md");
    });
  }
  return checks;
}

HealthCheck BackupsCheck(fs::path folder, int64_t max_age_hours) {
  return [folder = std::move(folder), max_age_hours](std::stop_token) {
    std::string name;
    const auto newest = NewestBackup(folder, name);
    const std::string wanted = fmt::format(
        "`ybis backup create` makes one; wanted every {} h "
        "(health.maxBackupAgeHours)",
        max_age_hours);
    if (!newest) {
      if (max_age_hours == 0) return Ok("backups", "", "none, and none are asked for");
      return Warning("backups", "", "none at " + folder.string(), wanted);
    }
    const auto hours = std::chrono::duration_cast<std::chrono::hours>(SystemClock().Now() - *newest).count();
    const std::string text = fmt::format("the newest, {}, is {} h old", name, hours);
    if (max_age_hours == 0 || hours <= max_age_hours) return Ok("backups", "", text);
    return Warning("backups", "", text, wanted);
  };
}

HealthCheck ClusterCheck(std::function<Result<std::string>(std::stop_token)> ask) {
  return [ask = std::move(ask)](std::stop_token stop) {
    const auto answer = ask(std::move(stop));
    if (answer) return Ok("cluster", "", *answer);
    return Broken("cluster", "", answer.error().message,
                  "see that the API server is reachable and its credentials are valid");
  };
}

}  // namespace ybis::control
