// ybis worker start, status.
#include "cli/local/worker.h"

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "cli/backend.h"
#include "cli/local/process_name.h"
#include "cli/local/runner_process.h"
#include "cli/output.h"
#include "cli/signals.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "control/health_checks.h"
#include "control/health_routes.h"
#include "http/client.h"
#include "http/listen_address.h"

namespace ybis::cli {
namespace {

struct StartOptions {
  BackendOptions backend;
  int64_t count = 0;
  double poll_interval = 10;
  std::string health_address;
};

/// What a worker is looked at by; empty when no address was given.
struct Probes {
  std::unique_ptr<control::HealthMonitor> monitor;
  std::unique_ptr<http::Server> server;
};

Result<Probes> ServeProbes(const std::string& address, Session& session, const control::Config& config,
                           control::Metrics& metrics) {
  Probes probes;
  if (address.empty()) return probes;
  YBIS_ASSIGN(const http::ListenAddress listen, http::ParseListen(address));
  store::Pool& pool = session.pool();
  std::vector<control::HealthCheck> checks = {
      control::DatabaseCheck(pool, "the worker's database"),
      control::MigrationsCheck(pool),
      control::LeasesCheck(pool, IsGone),
      control::DiskCheck(session.folders().data, config.health.min_free_disk_mib),
      control::GitCheck(),
      control::SandboxCheck(config.policy.sandbox_best_effort),
      control::BackupsCheck(BackupsFolder(session.folders(), config), config.health.max_backup_age_hours)};
  for (control::HealthCheck& check : control::ModelChecks(config)) checks.push_back(std::move(check));
  probes.monitor = std::make_unique<control::HealthMonitor>(
      std::move(checks), std::chrono::seconds(config.health.interval_seconds), metrics);
  http::Router router;
  control::AddHealthRoutes(router, metrics,
                           {{"database",
                             [&pool](std::stop_token stop) -> Status {
                               YBIS_TRY(pool.Execute("SELECT 1", {}, std::move(stop)));
                               return {};
                             }}},
                           probes.monitor.get());
  YBIS_ASSIGN(probes.server, control::ServeHealth(listen, std::move(router)));
  log::Info("serving metrics and probes", {{"port", probes.server->Port()}});
  return probes;
}

int Start(Context& context, const StartOptions& options) {
  const Status local =
      CheckBackend(options.backend, "helm install ybis charts/ybis   (the operator is the worker)");
  if (!local) return Explain(context, local.error());
  // Its log may lose its reader; the runs do not end with that.
  StopOnSignals signals({.ignore_sigpipe = true});
  http::InitThreads();
  const Environment environment = ThisEnvironment();
  const auto config = LoadConfigOf(options.backend, environment, TheseFolders(environment));
  if (!config) return Explain(context, config.error());
  log::Init(log::LevelFromName(config->log_level == "debug" ? "info" : config->log_level),
            config->log_format == "json" ? log::Format::kJson : log::Format::kText);
  const auto runner = FindRunner(environment);
  if (!runner) return Explain(context, runner.error());
  const int64_t count = options.count > 0 ? options.count : config->limits.admission.total;
  const auto connections = static_cast<int>(std::clamp<int64_t>(count + 4, 6, 40));
  const auto session = Session::Open(options.backend, "", signals.token(), connections);
  if (!session) return Explain(context, session.error());
  const auto interval = Duration(std::max<int64_t>(50, static_cast<int64_t>(options.poll_interval * 1000)));
  auto worker =
      Worker::Make(**session, *config, {.count = count, .poll_interval = interval, .runner = *runner});
  if (!worker) return Explain(context, worker.error());
  const auto probes = ServeProbes(options.health_address, **session, *config, (*worker)->metrics());
  if (!probes) return Explain(context, probes.error());
  if (config->models.empty()) log::Warn("no model is configured: tasks that ask one will fail", {});
  log::Info("worker ready", {{"name", ThisProcessName()}, {"count", count}, {"profile", config->profile}});
  (*worker)->Serve(signals.token());
  log::Info("worker stopped", {});
  return kExitOk;
}

struct StatusOptions {
  BackendOptions backend;
  std::string output = "table";
};

int ShowLeases(Context& context, const StatusOptions& options) {
  const auto backend = OpenBackend(options.backend, {});
  if (!backend) return Explain(context, backend.error());
  const auto leases = (*backend)->Leases({});
  if (!leases) return Explain(context, leases.error());
  nlohmann::json rows = nlohmann::json::array();
  const bool wide = options.output == "wide";
  std::vector<std::string> heading = {"RUN",     "TASK", "STATE",      "NODE",
                                      "ATTEMPT", "HELD", "LEASE LEFT", "HOLDER"};
  if (wide) heading.insert(heading.end(), {"SINCE", "UNTIL"});
  Table table(std::move(heading));
  std::vector<std::string> runs;
  const TimePoint now = SystemClock().Now();
  for (const auto& [lease, dead] : *leases) {
    const std::string left = !lease.left               ? "-"
                             : lease.left->count() < 0 ? "overdue"
                                                       : fmt::format("{}s", lease.left->count());
    const std::string holder = lease.holder.empty() ? "(nobody yet)" : lease.holder + (dead ? " (dead)" : "");
    std::vector<std::string> row = {lease.run_id,
                                    lease.task,
                                    lease.state,
                                    lease.node.empty() ? "-" : lease.node,
                                    std::to_string(lease.attempt),
                                    AgeText(lease.granted, now),
                                    left,
                                    holder};
    if (wide)
      row.insert(row.end(),
                 {FormatRfc3339(lease.granted), lease.expires ? FormatRfc3339(*lease.expires) : "-"});
    table.Add(std::move(row));
    runs.push_back(lease.run_id);
    rows.push_back({{"runId", lease.run_id},
                    {"task", lease.task},
                    {"state", lease.state},
                    {"node", lease.node},
                    {"attempt", lease.attempt},
                    {"holder", lease.holder},
                    {"secondsLeft", lease.left ? nlohmann::json(lease.left->count()) : nlohmann::json()}});
  }
  if (PrintAs(context.out, options.output, rows, runs)) return kExitOk;
  if (leases->empty()) {
    context.err << "no run is under way\n";
  } else {
    table.Print(context.out);
  }
  return kExitOk;
}

}  // namespace

void AddWorker(Command app, Context& context) {
  Command verb = app.Add("worker", "Run what is queued; show what is under way");
  verb.NeedsSubcommand();
  auto start = std::make_shared<StartOptions>();
  Command start_verb = verb.Add("start", "Take up queued tasks until stopped (Ctrl-C or SIGTERM)");
  start_verb.Option("--count", start->count, "Runs at once; default: the configuration's limits.maxRuns")
      .Between(1, 256);
  start_verb
      .Option("--poll-interval", start->poll_interval,
              "Seconds between looks at the queue; changes are told at once besides")
      .Between(0.05, 3600.0)
      .ShowDefault();
  start_verb.Option("--health-address", start->health_address,
                    "Serve /livez, /readyz and /metrics there, e.g. :8080 or 127.0.0.1:8080");
  AddBackendOptions(start_verb, start->backend, true);
  start_verb.Footer(
      "A worker that is told to end lets its runners give their runs back, then exits with 0.\n"
      "Any number of workers may share one database.\n\n"
      "Examples:\n  ybis worker start\n  ybis worker start --count 4 --config models.yaml");
  start_verb.OnParsed(
      [&context, start] { context.action = [&context, start] { return Start(context, *start); }; });

  auto status = std::make_shared<StatusOptions>();
  Command status_verb = verb.Add("status", "Show live leases: which run is held by whom");
  AddOutput(status_verb, status->output);
  AddBackendOptions(status_verb, status->backend);
  status_verb.Footer("Example:\n  ybis worker status");
  status_verb.OnParsed(
      [&context, status] { context.action = [&context, status] { return ShowLeases(context, *status); }; });
}

}  // namespace ybis::cli
