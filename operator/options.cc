#include "operator/options.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/file.h"
#include "base/log.h"
#include "base/version.h"
#include "http/listen_address.h"

namespace ybis::op {
namespace {

constexpr char kFooter[] = R"(Exit codes:
  0    stopped by SIGTERM or SIGINT, or printed what was asked for
  1    cannot start or go on: the cluster, the database's schema, a port, a lease that another replica holds now
  64   wrong flags
  78   wrong configuration: the profile, the file, the environment, an address, or no database
  130, 143  ended at once by a second SIGINT or SIGTERM

Examples:
  In a cluster (the chart sets these):
    ybis-operator --config=/etc/ybis/config/config.yaml --database-url-file=/etc/ybis/database/url --leader-elect
  By hand against the current kubectl context, for one namespace:
    DATABASE_URL=postgresql://ybis@localhost/ybis YBIS_CONFIG__RUNNER__IMAGE=registry.example.com/ybis/ybis-runner:0.1.0 \
      ybis-operator --profile=dev --namespace=demo --operator-namespace=demo --run-api-url=https://host.example:8443

Environment: DATABASE_URL, YBIS_PROFILE, KUBECONFIG, POD_NAME, POD_NAMESPACE, and YBIS_CONFIG__<SECTION>__<KEY> for any
single setting of the configuration (YBIS_CONFIG__LIMITS__MAXRUNS=5). Flags come before environment variables.)";

struct Raw {
  Options options;
  std::string profile = "prod";
  std::string config_file;
  std::string database_url_file;
  std::string run_api_listen = ":8443";
  std::string metrics_listen = ":8080";
};

std::string Get(const std::map<std::string, std::string>& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? std::string() : found->second;
}

void AddFlags(CLI::App& app, Raw& raw) {
  app.add_option("--profile", raw.profile, "dev, staging or prod")
      ->envname("YBIS_PROFILE")
      ->capture_default_str();
  app.add_option("--config", raw.config_file, "YAML file that is laid over the profile");
  app.add_option("--database-url-file", raw.database_url_file,
                 "file with the URL of Postgres; before DATABASE_URL");
  app.add_option("--kubeconfig", raw.options.kubeconfig,
                 "kubeconfig file instead of the pod's service account");
  app.add_option("--context", raw.options.context, "context of the kubeconfig instead of its current one");
  app.add_option("--namespace", raw.options.watch_namespace, "watch this namespace alone; all without it");
  app.add_option(
      "--instance", raw.options.instance,
      "only tasks whose label ybis.dev/operator has this value; without it those that lack the label");
  app.add_option("--operator-namespace", raw.options.operator_namespace,
                 "namespace of the lease and the certificate")
      ->envname("POD_NAMESPACE");
  app.add_option("--service", raw.options.service,
                 "name of the operator's Service; lease and certificate are named after it")
      ->capture_default_str();
  app.add_option("--identity", raw.options.identity, "name of this replica")->envname("POD_NAME");
  app.add_option("--run-api-url", raw.options.run_api_url, "URL at which runner pods reach the Run API");
  app.add_option("--run-api-listen", raw.run_api_listen, "address and port of the Run API")
      ->capture_default_str();
  app.add_option("--metrics-listen", raw.metrics_listen, "address and port of /metrics, /livez and /readyz")
      ->capture_default_str();
  app.add_flag("--leader-elect", raw.options.leader_elect,
               "stand for election by a Lease; needed with several replicas");
  app.add_option("--workers", raw.options.workers, "tasks that are reconciled at a time")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
}

Result<std::string> ReadDatabaseUrl(const Raw& raw, const std::map<std::string, std::string>& environment) {
  if (raw.database_url_file.empty()) {
    const std::string url = Get(environment, "DATABASE_URL");
    if (!url.empty()) return url;
    return Fail(ErrorCode::kInvalid,
                "no database: give --database-url-file or DATABASE_URL (postgresql://user@host/name)");
  }
  YBIS_ASSIGN(std::string url, ReadFile(raw.database_url_file, 64 * 1024));
  while (!url.empty() && std::isspace(static_cast<unsigned char>(url.back())) != 0) url.pop_back();
  if (url.empty())
    return Fail(ErrorCode::kInvalid, "--database-url-file: " + raw.database_url_file + " is empty");
  return url;
}

Status Fill(Raw& raw, const std::map<std::string, std::string>& environment) {
  YBIS_ASSIGN(raw.options.config, control::LoadConfig({raw.profile, raw.config_file, environment}));
  YBIS_ASSIGN(raw.options.database_url, ReadDatabaseUrl(raw, environment));
  auto run_api = http::ParseListen(raw.run_api_listen);
  if (!run_api) return FailIn("--run-api-listen", run_api.error());
  auto metrics = http::ParseListen(raw.metrics_listen);
  if (!metrics) return FailIn("--metrics-listen", metrics.error());
  raw.options.run_api = *run_api;
  raw.options.run_api.tls = true;
  raw.options.metrics = *metrics;
  log::RegisterSecret(raw.options.database_url);
  return {};
}

}  // namespace

std::variant<Options, ExitNow> ReadOptions(int argc, char** argv,
                                           const std::map<std::string, std::string>& environment) {
  CLI::App app{"ybis-operator: turns YbisTask objects into runs, and serves the runners."};
  app.footer(kFooter);
  app.set_version_flag("--version", std::string("ybis-operator ") + kYbisVersion);
  Raw raw;
  AddFlags(app, raw);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return ExitNow{app.exit(error) == 0 ? 0 : 64};
  }
  if (const Status filled = Fill(raw, environment); !filled) {
    std::fprintf(stderr, "ybis-operator: %s\n", log::Redact(filled.error().message).c_str());
    return ExitNow{78};
  }
  return std::move(raw.options);
}

}  // namespace ybis::op
