#include "operator/wiring.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/log.h"
#include "control/approvals.h"
#include "control/health_checks.h"
#include "control/health_routes.h"
#include "control/metrics_hooks.h"
#include "control/model_gateway.h"
#include "control/run_api_server.h"
#include "control/run_ledger.h"
#include "control/task_queue.h"
#include "http/url.h"
#include "kube/events.h"
#include "kube/leader_election.h"
#include "operator/approval/approver_policy.h"
#include "operator/approval/reconciler.h"
#include "operator/leading.h"
#include "operator/record/api_service.h"
#include "operator/record/record_api.h"
#include "operator/task/pod_ownership.h"
#include "operator/task/reconciler.h"
#include "operator/watches.h"
#include "operator/workflow/reconciler.h"
#include "store/migrations.h"

namespace ybis::op {
namespace {

constexpr auto kDrain = std::chrono::seconds(4);
constexpr auto kServerGrace = std::chrono::seconds(20);  // for model calls under way: they are paid

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "ybis-operator";
}

/// What is not told is found out.
Options Completed(Options options, const kube::Connection& connection) {
  if (options.operator_namespace.empty()) options.operator_namespace = connection.default_namespace;
  // A pod's name is unique among the living, so a container that was killed takes its own lease up again at
  // once.
  if (options.identity.empty()) options.identity = HostName() + "_" + NewUuid();
  if (options.run_api_url.empty()) {
    options.run_api_url = fmt::format("https://{}.{}.svc:8443", options.service, options.operator_namespace);
  }
  return options;
}

kube::ClientSettings KubeSettings(control::Metrics& metrics) {
  kube::ClientSettings settings;
  settings.on_request = [&metrics](std::string_view method, std::string_view host, std::string_view code) {
    metrics.RestRequest(method, host, code);
  };
  return settings;
}

store::PoolSettings Database(const Options& options) {
  store::PoolSettings settings;
  settings.url = options.database_url;
  settings.application_name = "ybis-operator";
  return settings;
}

control::LedgerSettings Ledger(const control::Config& config) {
  control::LedgerSettings settings;
  settings.lease = std::chrono::seconds(config.lease.lease_seconds);
  settings.heartbeat = std::chrono::seconds(config.lease.heartbeat_seconds);
  return settings;
}

ServingSecretSettings Serving(const Options& options) {
  const auto url = http::ParseUrl(options.run_api_url);
  return {{options.operator_namespace, options.service + "-run-api-tls"},
          ServingNames(options.service, options.operator_namespace, url ? url->host : "")};
}

/// Runners prove themselves by tokens; the API server's proxy does by a certificate.
http::ServerTls TlsOf(const http::CertificateAndKey& pair) {
  return {pair.certificate_pem, pair.key_pem, true};
}

ControllerSettings Named(std::string name, int workers) {
  ControllerSettings settings;
  settings.name = std::move(name);
  settings.workers = workers;
  return settings;
}

int64_t CountPhase(kube::Cache& tasks, std::string_view phase) {
  static const nlohmann::json::json_pointer path("/status/phase");
  const auto all = tasks.List();
  return std::count_if(all.begin(), all.end(), [&](const kube::Object& task) {
    return task->contains(path) && task->at(path) == phase;
  });
}

/// Watchdog's word for what a pod's end tells.
class StoredLostHolders final : public LostHolders {
 public:
  StoredLostHolders(store::Pool& pool, control::Metrics& metrics) : watchdog_(pool), metrics_(metrics) {}
  Status HolderLost(const std::string& run_id, const std::string& holder, std::stop_token stop) override {
    YBIS_ASSIGN(const auto changed, watchdog_.HolderLost(run_id, holder, stop));
    metrics_.LeasesExpired(control::CountExpired(changed));
    return {};
  }

 private:
  control::Watchdog watchdog_;
  control::Metrics& metrics_;
};

/// Approvals over Postgres, for what the operator asks of them.
class StoredApprovals final : public Waits, public Decisions {
 public:
  StoredApprovals(store::Pool& pool, control::Metrics& metrics) : approvals_(pool, &metrics) {}
  Result<std::optional<control::Wait>> WaitOf(const std::string& run_id, std::stop_token stop) override {
    return approvals_.WaitOf(run_id, stop);
  }
  Result<bool> Known(const std::string& key, std::stop_token stop) override {
    return approvals_.Known(key, stop);
  }
  Result<control::ApprovalResult> Decide(const control::ApprovalRequest& request,
                                         std::stop_token stop) override {
    return approvals_.Decide(request, stop);
  }

 private:
  control::Approvals approvals_;
};

}  // namespace

/// Members are in the order of their making; each may refer to those above it.
struct Operator::Parts {
  Parts(Options given, kube::Connection connection, Clock& used_clock)
      : options(Completed(std::move(given), connection)),
        clock(used_clock),
        api(kube::KubeClient::Make(std::move(connection), clock, KubeSettings(metrics))),
        certificate(*api, clock, Serving(options)),
        watches(*api, *api, clock, {options.watch_namespace, options.instance, Serving(options).key},
                Sinks()),
        events(*api, clock, {.instance = options.identity}),
        pool(Database(options)),
        records(pool, options.config.limits.admission, record_stop.get_token()),
        ledger(pool, Ledger(options.config)),
        observer(watches.Objects(), records, decisions, *api, clock,
                 [this] { return certificate.AuthorityPem(); }),
        actor({*api, watches.Objects().tasks, watches.Objects().jobs, records, lost, events, metrics}),
        task_reconciler(observer, actor, {options.config, options.run_api_url}, clock),
        workflow_reconciler(watches.Objects().workflows, *api, events, clock),
        approval_reconciler({watches.Approvals(), watches.Objects().tasks, *api, records, decisions, events,
                             clock, options.config.approvals.require_admission_policy}),
        tasks(Named("ybistask", options.workers), task_reconciler, metrics),
        workflows(Named("ybisworkflow", 1), workflow_reconciler, metrics),
        approvals(Named("ybisapproval", 1), approval_reconciler, metrics),
        orphans(open_runs, records, watches.Objects(), *api, clock, options.watch_namespace),
        leading({watches.Objects(), watches.Approvals(), pool, records, tasks, workflows, approvals, orphans,
                 certificate, events, metrics, clock,
                 std::chrono::seconds(options.config.lease.sweep_seconds),
                 [this](std::stop_token stop) { return KeepApiService(std::move(stop)); },
                 [this] { record_stop.request_stop(); }}) {}

  Status KeepApiService(std::stop_token stop) {
    return EnsureApiService(*api, {options.operator_namespace, options.service}, certificate.AuthorityPem(),
                            std::move(stop));
  }

  WatchSinks Sinks() {
    return {[this](const kube::Key& key) { leading.TaskChanged(key); }, [this] { leading.TaskDeleted(); },
            [this](const kube::Key& key) { leading.WorkflowChanged(key); },
            [this](const kube::Key& key) { leading.ApprovalChanged(key); },
            [this](const nlohmann::json& secret) { certificate.Follow(secret); }};
  }

  Options options;
  Clock& clock;
  control::Metrics metrics;
  std::unique_ptr<kube::KubeClient> api;
  ServingCert certificate;
  Watches watches;
  kube::EventRecorder events;
  store::Pool pool;
  std::stop_source record_stop;
  control::TaskQueue records;
  control::RunLedger ledger;
  StoredLostHolders lost{pool, metrics};
  StoredApprovals decisions{pool, metrics};
  StoredOpenRuns open_runs{pool};
  TaskObserver observer;
  Actor actor;
  TaskReconciler task_reconciler;
  WorkflowReconciler workflow_reconciler;
  ApprovalReconciler approval_reconciler;
  Controller tasks;
  Controller workflows;
  Controller approvals;
  OrphanSweeper orphans;
  Leading leading;
  // The Run API and what stands behind it.
  control::ModelMetrics model_metrics{metrics};
  std::unique_ptr<model::ModelSet> models;
  control::LlmCalls llm_calls{pool};
  control::StoredCallRecords call_records{llm_calls};
  control::StoredRunTerms run_terms{ledger};
  std::optional<control::ModelGateway> gateway;
  control::StoredRunService stored_runs{ledger};
  control::CountingRunService runs{stored_runs, metrics};
  StoredRunOwners run_owners{ledger};
  CachedPodOwnership pods{watches.Objects(), *api, run_owners};
  control::PodTokenAuthenticator authenticator{*api, pods, clock};
  FrontProxy front_proxy{*api, clock};
  RecordAccess record_access{*api, clock};
  std::unique_ptr<RunRecords> run_records = MakeStoredRunRecords(pool);
  std::atomic<bool> migrated{false};
  std::atomic<bool> serving{false};
  std::atomic<bool> stopping{false};
  Sync<bool> lead{false};  ///< set by the election, read by Run

  Status MakeModels();
  Status StartHealth();
  Status Migrate(std::stop_token stop);
  Status ServeRunApi(std::stop_token stop);
  void Elect(std::stop_token stop);
  void LeadWhenElected(std::stop_token stop);
  void CollectGauges();
  std::vector<control::ReadyCheck> ReadyChecks();
  std::vector<control::HealthCheck> HealthChecks();
  void Shutdown();

  std::unique_ptr<control::TaskChanges> changes;
  std::unique_ptr<http::Server> run_api_server;
  std::unique_ptr<control::HealthMonitor> health;
  std::unique_ptr<http::Server> health_server;
  std::jthread election;
};

Status Operator::Parts::MakeModels() {
  YBIS_ASSIGN(models, model::ModelSet::Make(control::ModelSettingsOf(options.config), clock, model_metrics));
  gateway.emplace(*models, call_records, run_terms, clock, model_metrics,
                  control::GatewaySettingsOf(options.config));
  return {};
}

Status Operator::Parts::StartHealth() {
  metrics.OnCollect([this] { CollectGauges(); });
  metrics.SetLeader(options.service, false);
  health = std::make_unique<control::HealthMonitor>(
      HealthChecks(), std::chrono::seconds(options.config.health.interval_seconds), metrics);
  http::Router router;
  control::AddHealthRoutes(router, metrics, ReadyChecks(), health.get());
  YBIS_ASSIGN(health_server, control::ServeHealth(options.metrics, std::move(router)));
  log::Info("serving metrics and probes", {{"port", health_server->Port()}});
  return {};
}

std::vector<control::ReadyCheck> Operator::Parts::ReadyChecks() {
  return {{"database",
           [this](std::stop_token stop) -> Status {
             if (!migrated) return Fail(ErrorCode::kUnavailable, "not reached or not migrated yet");
             YBIS_TRY(pool.Execute("SELECT 1", {}, stop));
             return {};
           }},
          {"caches", [this](std::stop_token) { return watches.Synced(); }},
          {"run-api", [this](std::stop_token) -> Status {
             if (!serving) return Fail(ErrorCode::kUnavailable, "its certificate is not there yet");
             return {};
           }}};
}

/// git and the sandbox are the runner's, on whatever node it runs; here is what this process needs.
std::vector<control::HealthCheck> Operator::Parts::HealthChecks() {
  std::vector<control::HealthCheck> checks = {
      control::DatabaseCheck(pool, "the operator's database"),
      control::MigrationsCheck(pool),
      control::LeasesCheck(pool, {}),
      control::DiskCheck(std::filesystem::temp_directory_path(), options.config.health.min_free_disk_mib),
      control::ClusterCheck([this](std::stop_token stop) -> Result<std::string> {
        YBIS_TRY(api->GetRaw("/version", std::move(stop)));
        return std::string("the API server answers");
      }),
      ApproverPolicyCheck(*api)};
  for (control::HealthCheck& check : control::ModelChecks(options.config)) checks.push_back(std::move(check));
  return checks;
}

void Operator::Parts::CollectGauges() {
  const bool leads = leading.IsLeading();
  metrics.SetActiveWorkers(leads ? CountPhase(watches.Objects().tasks, "Running") : 0);
  metrics.SetQueueDepth(leads ? CountPhase(watches.Objects().tasks, "Queued") : 0);
}

/// Waits for the database instead of dying: its pod may come up after ours.
Status Operator::Parts::Migrate(std::stop_token stop) {
  Duration wait = std::chrono::milliseconds(250);
  for (;;) {
    const auto applied = store::Migrator(pool).Up(stop);
    if (applied) {
      for (const auto& migration : *applied)
        log::Info("migration applied", {{"version", migration.version}, {"name", migration.name}});
      migrated = true;
      return {};
    }
    if (stop.stop_requested()) return Fail(ErrorCode::kCancelled, "stopping");
    if (applied.error().code == ErrorCode::kUnsupported) return FailIn("database", applied.error());
    log::Warn("waiting for the database", {{"error", applied.error().message}, {"retryMs", wait.count()}});
    clock.SleepFor(wait, stop);
    wait = std::min(wait * 2, Duration(std::chrono::seconds(10)));
  }
}

Status Operator::Parts::ServeRunApi(std::stop_token stop) {
  const auto pair = certificate.WaitForServer(stop);
  if (!pair) return {};
  http::Router router;
  control::AddRunApi(router, {runs, *gateway, authenticator});
  AddRecordApi(router, {*run_records, front_proxy, record_access});
  http::ServerSettings settings;
  settings.listen = {options.run_api};
  // Half of the memory that the chart gives us; the largest report alone may take it.
  settings.max_buffered_bytes = size_t{256} * 1024 * 1024;
  settings.tls = TlsOf(*pair);
  YBIS_ASSIGN(run_api_server, http::Server::Start(std::move(settings), std::move(router)));
  certificate.OnChange([this](const http::CertificateAndKey& renewed) {
    const Status loaded = run_api_server->ReloadTls(TlsOf(renewed));
    if (!loaded) log::Warn("new certificate refused", {{"error", loaded.error().message}});
  });
  serving = true;
  log::Info("serving the run api", {{"port", run_api_server->Port()}, {"url", options.run_api_url}});
  return {};
}

void Operator::Parts::Elect(std::stop_token stop) {
  kube::LeaderElectionSettings settings;
  settings.ns = options.operator_namespace;
  settings.name = options.service;
  settings.identity = options.identity;
  kube::LeaderCallbacks callbacks;
  callbacks.on_started = [this] {
    metrics.SetLeader(options.service, true);
    *lead.Lock() = true;
    lead.NotifyAll();
  };
  callbacks.on_stopped = [this] {
    metrics.SetLeader(options.service, false);
    if (stopping) return;
    // Another replica leads now. Nothing of ours may be written any more, and the quickest way to be sure is
    // to go.
    log::Error("lost the lease; leaving at once",
               {{"lease", options.operator_namespace + "/" + options.service}});
    std::_Exit(1);
  };
  kube::LeaderElector(*api, *api, clock, settings, callbacks).Run(stop);
}

void Operator::Parts::LeadWhenElected(std::stop_token stop) {
  {
    auto elected = lead.Lock();
    if (!lead.Wait(elected, stop, [](bool seen) { return seen; })) return;
  }
  leading.Start();
}

/// The order matters: first no more writes, then the lease, so that the next leader starts from a quiet
/// state.
void Operator::Parts::Shutdown() {
  log::Info("stopping", nlohmann::json::object());
  stopping = true;
  leading.Stop(kDrain);
  if (election.joinable()) {
    election.request_stop();
    election.join();
  }
  changes.reset();
  if (run_api_server) run_api_server->Stop(kServerGrace);
  watches.Stop();
  events.Flush(std::chrono::seconds(1));
  if (health_server) health_server->Stop(std::chrono::milliseconds(100));
  health.reset();
}

Operator::Operator(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Operator::~Operator() = default;

Result<std::unique_ptr<Operator>> Operator::Make(Options options, kube::Connection connection, Clock& clock) {
  if (const auto url = http::ParseUrl(options.run_api_url); !options.run_api_url.empty() && !url) {
    return FailIn("--run-api-url", url.error());
  }
  auto parts = std::make_unique<Parts>(std::move(options), std::move(connection), clock);
  YBIS_TRY(parts->MakeModels());
  return std::unique_ptr<Operator>(new Operator(std::move(parts)));
}

Status Operator::Run(std::stop_token stop) {
  Parts& parts = *parts_;
  YBIS_TRY(parts.StartHealth());
  parts.watches.Start();
  Status status = parts.Migrate(stop);
  if (status && parts.watches.WaitForSync(stop)) {
    parts.changes = std::make_unique<control::TaskChanges>(
        parts.options.database_url,
        [&parts](const std::string& ns, const std::string& name) {
          parts.leading.RecordChanged({ns, name});
        },
        [&parts] { parts.leading.Resync(); });
    if (parts.options.leader_elect) {
      parts.election = std::jthread([&parts](std::stop_token ending) { parts.Elect(ending); });
    } else {
      *parts.lead.Lock() = true;
    }
    std::jthread leader([&parts, stop] { parts.LeadWhenElected(stop); });
    status = parts.ServeRunApi(stop);
    if (status) {
      Sync<int> forever{0};
      auto waiting = forever.Lock();
      forever.Wait(waiting, stop, [](int) { return false; });
    }
  }
  parts.Shutdown();
  if (!status && status.error().code != ErrorCode::kCancelled) return status;
  return {};
}

}  // namespace ybis::op
