// ybis health: one line a thing that runs need.
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/log.h"
#include "cli/cluster/connection.h"
#include "cli/local/process_name.h"
#include "cli/local/runner_process.h"
#include "cli/local/session.h"
#include "cli/signals.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "control/health_checks.h"
#include "http/client.h"

namespace ybis::cli {
namespace {

using control::HealthCheck;
using control::HealthFinding;
using control::HealthGrade;

/// A line that is known already.
HealthCheck Known(HealthFinding finding) {
  return [finding = std::move(finding)](std::stop_token) { return finding; };
}

/// The database while it is looked at.
struct OpenedDatabase {
  UniqueFd hold;
  std::unique_ptr<store::Pool> pool;
};

/// Does not make a database that is not there yet.
OpenedDatabase AddDatabaseChecks(const BackendOptions& options, const Environment& environment,
                                 const Folders& folders, std::stop_token stop,
                                 std::vector<HealthCheck>& checks) {
  const DatabasePlace place = PlaceOf(options, environment);
  OpenedDatabase out;
  std::string url = place.url;
  if (url.empty()) {
    const PrivatePostgres server = PrivateServer(options, environment, folders);
    if (server.Look().state == PrivatePostgres::State::kAbsent) {
      checks.push_back(Known({"database", "", HealthGrade::kWarning, "not made yet",
                              "the first command that needs it makes it"}));
      return out;
    }
    auto use = server.Ensure(std::move(stop));
    if (!use) {
      checks.push_back(Known({"database", "", HealthGrade::kBroken, use.error().message,
                              "see its log in " + folders.Postgres().string() + "/log"}));
      return out;
    }
    url = use->url;
    out.hold = std::move(use->hold);
  }
  out.pool = std::make_unique<store::Pool>(
      store::PoolSettings{.url = url, .size = 3, .acquire_timeout = std::chrono::seconds(5)});
  checks.push_back(
      control::DatabaseCheck(*out.pool, place.url.empty() ? folders.Postgres().string() : place.source));
  checks.push_back(control::MigrationsCheck(*out.pool));
  checks.push_back(control::LeasesCheck(*out.pool, IsGone));
  return out;
}

HealthFinding LookForRunner(const Environment& environment) {
  const auto runner = FindRunner(environment);
  if (runner) return {"runner", "", HealthGrade::kOk, runner->string(), {}};
  return {"runner", "", HealthGrade::kBroken, runner.error().message,
          "put ybis-runner beside ybis, or name it in YBIS_RUNNER"};
}

std::vector<HealthFinding> Examine(const BackendOptions& options, std::stop_token stop) {
  const Environment environment = ThisEnvironment();
  const Folders folders = TheseFolders(environment);
  std::vector<HealthCheck> checks;
  const OpenedDatabase database = AddDatabaseChecks(options, environment, folders, stop, checks);
  const auto config = LoadConfigOf(options, environment, folders);
  const control::Config& used = config ? *config : control::Config();
  checks.push_back(control::DiskCheck(folders.data, used.health.min_free_disk_mib));
  checks.push_back(control::GitCheck());
  checks.push_back(Known(LookForRunner(environment)));
  if (config) {
    checks.push_back(Known({"config", "", HealthGrade::kOk, "profile " + config->profile, {}}));
    checks.push_back(control::SandboxCheck(config->policy.sandbox_best_effort));
    for (HealthCheck& check : control::ModelChecks(*config)) checks.push_back(std::move(check));
  } else {
    checks.push_back(Known({"config", "", HealthGrade::kBroken, config.error().message,
                            "mend it; `ybis config show` reads it again"}));
  }
  checks.push_back(control::BackupsCheck(BackupsFolder(folders, used), used.health.max_backup_age_hours));
  return control::RunHealthChecks(checks, stop);
}

/// What this side can know of a cluster: that it answers, and that YBIS is there for this user.
Result<std::string> AskCluster(const BackendOptions& options, std::stop_token stop) {
  YBIS_ASSIGN(const Cluster cluster, Connect(options, stop));
  const auto told = [&cluster](Error error) {
    return Fail(Explained(std::move(error), cluster.source, "ybis-task-viewer"));
  };
  if (const auto version = cluster.client->GetRaw("/version", stop); !version) return told(version.error());
  kube::ListOptions one;
  one.limit = 1;
  const auto tasks = cluster.client->List(kube::kTasks, cluster.namespace_name, one, stop);
  if (!tasks) return told(tasks.error());
  return fmt::format("{} answers, and has YBIS; namespace {}", cluster.source, cluster.namespace_name);
}

std::vector<HealthFinding> ExamineCluster(const BackendOptions& options, std::stop_token stop) {
  const auto ask = [&options](std::stop_token s) { return AskCluster(options, std::move(s)); };
  return control::RunHealthChecks({control::ClusterCheck(ask)}, std::move(stop));
}

nlohmann::json RowsOf(const std::vector<HealthFinding>& findings) {
  nlohmann::json rows = nlohmann::json::array();
  for (const HealthFinding& finding : findings) {
    nlohmann::json row = {{"check", finding.check},
                          {"status", std::string(ToString(finding.grade))},
                          {"message", log::Redact(finding.message)}};
    if (!finding.name.empty()) row["name"] = finding.name;
    if (!finding.remedy.empty()) row["remedy"] = log::Redact(finding.remedy);
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string MarkOf(HealthGrade grade, const Paint& paint) {
  if (grade == HealthGrade::kOk) return paint.Green("[OK]");
  return grade == HealthGrade::kWarning ? paint.Yellow("[!!]") : paint.Red("[XX]");
}

void PrintLines(std::ostream& out, const std::vector<HealthFinding>& findings) {
  const Paint paint = PaintFor(out);
  std::map<HealthGrade, int> counts;
  for (const HealthFinding& finding : findings) {
    ++counts[finding.grade];
    const std::string what = finding.name.empty() ? finding.check : finding.check + " " + finding.name;
    const std::string text =
        finding.remedy.empty() ? finding.message : finding.message + " -> " + finding.remedy;
    out << fmt::format("{} {:<14} {}\n", MarkOf(finding.grade, paint), what, log::Redact(text));
  }
  out << fmt::format("\n{} ok, {} warnings, {} broken\n", counts[HealthGrade::kOk],
                     counts[HealthGrade::kWarning], counts[HealthGrade::kBroken]);
}

struct Options {
  BackendOptions backend;
  std::string output = "table";
};

int Health(Context& context, const Options& options) {
  const auto cluster = IsCluster(options.backend);
  if (!cluster) return Explain(context, cluster.error());
  StopOnSignals signals;
  http::InitThreads();
  const auto findings =
      *cluster ? ExamineCluster(options.backend, signals.token()) : Examine(options.backend, signals.token());
  if (signals.token().stop_requested()) return kExitStopped;
  if (options.output == "table") {
    PrintLines(context.out, findings);
  } else {
    const nlohmann::json rows = RowsOf(findings);
    context.out << (options.output == "json" ? DumpJsonPretty(rows) : ToYaml(rows));
  }
  const bool broken = std::any_of(findings.begin(), findings.end(), [](const HealthFinding& finding) {
    return finding.grade == HealthGrade::kBroken;
  });
  return broken ? kExitFailed : kExitOk;
}

}  // namespace

void AddHealth(Command app, Context& context) {
  Command verb =
      app.Add("health", "Check database, migrations, disk, git, runner, sandbox, models, leases and backups");
  auto options = std::make_shared<Options>();
  verb.Option("-o,--output", options->output, "table, json or yaml").OneOf({"table", "json", "yaml"});
  AddBackendOptions(verb, options->backend, true);
  verb.Footer(
      "[OK] well, [!!] look at it, [XX] broken; each line says what to do. Models are asked for their list, "
      "which\ncosts nothing. With --backend cluster it asks whether the cluster answers and has YBIS; what "
      "the operator "
      "finds\nis in its metrics. Exit code: 0 when nothing is broken, else 1.\n\n"
      "Examples:\n  ybis health\n  ybis health -o json");
  verb.OnParsed(
      [&context, options] { context.action = [&context, options] { return Health(context, *options); }; });
}

}  // namespace ybis::cli
