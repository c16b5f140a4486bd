#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/log.h"
#include "base/process.h"
#include "cli/local/process_name.h"
#include "cli/local/runner_process.h"
#include "cli/local/session.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "control/task_catalog.h"
#include "store/migrations.h"

namespace ybis::cli {
namespace {

namespace fs = std::filesystem;

enum class Grade { kOk, kWarning, kBroken };

struct Finding {
  Grade grade;
  std::string what;
  std::string message;
};

Finding Ok(std::string what, std::string message) {
  return {Grade::kOk, std::move(what), std::move(message)};
}
Finding Warning(std::string what, std::string message) {
  return {Grade::kWarning, std::move(what), std::move(message)};
}
Finding Broken(std::string what, std::string message) {
  return {Grade::kBroken, std::move(what), std::move(message)};
}

Finding CheckLeases(store::Pool& pool) {
  const auto leases = control::TaskCatalog(pool).Leases({});
  if (!leases) return Broken("leases", leases.error().message);
  int64_t overdue = 0;
  for (const auto& lease : *leases) {
    if ((lease.left && lease.left->count() < 0) || IsGone(lease.holder)) ++overdue;
  }
  if (overdue == 0) return Ok("leases", fmt::format("{} runs under way, none overdue", leases->size()));
  return Warning("leases",
                 fmt::format("{} of {} runs have lost their worker; `ybis worker start` takes them up",
                             overdue, leases->size()));
}

/// Database, schema and leases. Does not make a database that is not there yet.
void CheckDatabase(const BackendOptions& options, const Environment& environment, const Folders& folders,
                   std::vector<Finding>& findings) {
  const DatabasePlace place = PlaceOf(options, environment);
  std::string url = place.url;
  std::string where = place.source;
  if (url.empty()) {
    PrivatePostgres server(folders.Postgres());
    if (server.Look().state == PrivatePostgres::State::kAbsent) {
      findings.push_back(Warning("database", "not made yet; the first command that needs it makes it"));
      return;
    }
    const auto ensured = server.Ensure({});
    if (!ensured) {
      findings.push_back(Broken("database", ensured.error().message));
      return;
    }
    url = *ensured;
    where = folders.Postgres();
  }
  store::Pool pool({.url = url, .size = 1, .acquire_timeout = std::chrono::seconds(5)});
  const auto version = pool.Execute("SHOW server_version", {}, {}, store::InDoubt::kRepeat);
  if (!version) {
    findings.push_back(Broken("database", version.error().message));
    return;
  }
  findings.push_back(Ok("database", fmt::format("PostgreSQL {}, {}", (*version)[0].Text(0), where)));
  const Status schema = store::Migrator(pool).Check({});
  if (!schema) {
    findings.push_back(Broken("migrations", schema.error().message + "; see `ybis db status`"));
    return;
  }
  findings.push_back(Ok("migrations", fmt::format("at version {}", store::BuiltInMigrations().size())));
  findings.push_back(CheckLeases(pool));
}

Finding CheckDisk(const Folders& folders) {
  fs::path at = folders.data;
  std::error_code error;
  while (!fs::exists(at, error) && at.has_relative_path()) at = at.parent_path();
  const fs::space_info space = fs::space(at, error);
  if (error) return Warning("disk", fmt::format("{}: {}", at.string(), error.message()));
  const double gib = static_cast<double>(space.available) / (1U << 30U);
  const std::string text = fmt::format("{:.1f} GiB free at {}", gib, folders.data.string());
  if (gib < 0.2) return Broken("disk", text + "; make room");
  return gib < 2 ? Warning("disk", text) : Ok("disk", text);
}

Finding CheckGit() {
  ProcessSpec spec;
  spec.argv = {"/usr/bin/git", "--version"};
  spec.timeout = std::chrono::seconds(5);
  const auto result = RunProcess(spec, {});
  if (!result || result->exit_code != 0)
    return Broken("git", "/usr/bin/git does not run: apt-get install git");
  return Ok("git", OneLine(result->output, 60));
}

Finding CheckRunner(const Environment& environment) {
  const auto runner = FindRunner(environment);
  return runner ? Ok("runner", runner->string()) : Broken("runner", runner.error().message);
}

Finding CheckSandbox(const control::Config& config) {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  const bool seccomp = ::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0;
  if (abi > 0 && seccomp) return Ok("sandbox", fmt::format("Landlock version {}, seccomp", abi));
  const std::string missing =
      fmt::format("this kernel lacks {}{}", abi > 0 ? "" : "Landlock ", seccomp ? "" : "seccomp");
  if (config.policy.sandbox_best_effort)
    return Warning("sandbox", missing + "; profile says best-effort, so runs go on");
  return Broken("sandbox", missing + "; runs are refused unless policy.sandbox is best-effort");
}

void CheckModels(const control::Config& config, std::vector<Finding>& findings) {
  if (config.models.empty()) {
    findings.push_back(Warning("models", "none configured; see docs/configuration.md"));
    return;
  }
  for (const control::ModelConfig& model : config.models) {
    const std::string what = "model " + model.name;
    std::error_code ignored;
    if (!model.api_key_file.empty() && ::access(model.api_key_file.c_str(), R_OK) != 0) {
      findings.push_back(Broken(what, fmt::format("its apiKeyFile {} cannot be read", model.api_key_file)));
    } else if (model.provider == "replay" && !fs::is_directory(model.replay_dir, ignored)) {
      findings.push_back(Broken(what, fmt::format("its replayDir {} is no folder", model.replay_dir)));
    } else {
      findings.push_back(
          Ok(what, model.provider == "replay" ? "recorded answers of " + model.replay_dir : model.endpoint));
    }
  }
}

std::vector<Finding> Examine(const BackendOptions& options) {
  const Environment environment = ThisEnvironment();
  const Folders folders = TheseFolders(environment);
  std::vector<Finding> findings;
  CheckDatabase(options, environment, folders, findings);
  findings.push_back(CheckDisk(folders));
  findings.push_back(CheckGit());
  findings.push_back(CheckRunner(environment));
  const auto config = LoadConfigOf(options, environment, folders);
  if (!config) {
    findings.push_back(Broken("configuration", config.error().message));
    return findings;
  }
  findings.push_back(Ok("configuration", "profile " + config->profile));
  findings.push_back(CheckSandbox(*config));
  CheckModels(*config, findings);
  return findings;
}

struct Options {
  BackendOptions backend;
  std::string output = "table";
};

int Health(Context& context, const Options& options) {
  if (const Status backend =
          CheckBackend(options.backend, "kubectl -n ybis-system get deployment ybis-operator");
      !backend) {
    return Explain(context, backend.error());
  }
  const auto findings = Examine(options.backend);
  const auto count = [&findings](Grade grade) {
    return std::count_if(findings.begin(), findings.end(),
                         [grade](const Finding& f) { return f.grade == grade; });
  };
  const bool broken = count(Grade::kBroken) > 0;
  if (options.output == "json") {
    nlohmann::json rows = nlohmann::json::array();
    constexpr const char* kNames[] = {"ok", "warning", "broken"};
    for (const Finding& finding : findings) {
      rows.push_back({{"check", finding.what},
                      {"status", kNames[static_cast<int>(finding.grade)]},
                      {"message", log::Redact(finding.message)}});
    }
    context.out << DumpJsonPretty(rows);
    return broken ? kExitFailed : kExitOk;
  }
  const Paint paint = PaintFor(context.out);
  for (const Finding& finding : findings) {
    const std::string mark = finding.grade == Grade::kOk        ? paint.Green("[OK]")
                             : finding.grade == Grade::kWarning ? paint.Yellow("[!!]")
                                                                : paint.Red("[XX]");
    context.out << fmt::format("{} {:<14} {}\n", mark, finding.what, log::Redact(finding.message));
  }
  context.out << fmt::format("\n{} ok, {} warnings, {} broken\n", count(Grade::kOk), count(Grade::kWarning),
                             count(Grade::kBroken));
  return broken ? kExitFailed : kExitOk;
}

}  // namespace

void AddHealth(CLI::App& app, Context& context) {
  CLI::App* verb = app.add_subcommand("health", "Check database, disk, git, runner, sandbox and models");
  auto options = std::make_shared<Options>();
  verb->add_option("-o,--output", options->output, "table or json")->check(CLI::IsMember({"table", "json"}));
  AddBackendOptions(*verb, options->backend, true);
  verb->footer("Exit code: 0 when nothing is broken ([XX]), else 1.\n\nExample:\n  ybis health");
  verb->callback(
      [&context, options] { context.action = [&context, options] { return Health(context, *options); }; });
}

}  // namespace ybis::cli
