// ybis db start, stop, status, migrate, rollback.

#include "base/log.h"
#include "cli/local/postgres_keeper.h"
#include "cli/local/session.h"
#include "cli/signals.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "store/migrations.h"

namespace ybis::cli {
namespace {

constexpr const char* kKubectl =
    "kubectl -n ybis-system get pods -l app.kubernetes.io/name=ybis   (the operator migrates)";

/// A pool on the database wherever it is; unlike a Session it takes any schema.
struct OpenDatabase {
  DatabasePlace place;
  std::string url;
  UniqueFd hold;  ///< of the private server
  std::unique_ptr<store::Pool> pool;
};

Result<OpenDatabase> OpenAny(const BackendOptions& options, std::stop_token stop) {
  YBIS_TRY(CheckBackend(options, kKubectl));
  const Environment environment = ThisEnvironment();
  OpenDatabase out{PlaceOf(options, environment), {}, {}, nullptr};
  out.url = out.place.url;
  if (out.url.empty()) {
    const Folders folders = TheseFolders(environment);
    YBIS_TRY(PrepareData(folders));
    YBIS_ASSIGN(PrivatePostgres::Use use,
                PrivateServer(options, environment, folders).Ensure(std::move(stop)));
    out.url = std::move(use.url);
    out.hold = std::move(use.hold);
  }
  out.pool =
      std::make_unique<store::Pool>(store::PoolSettings{.url = out.url,
                                                        .size = 2,
                                                        .acquire_timeout = std::chrono::seconds(30),
                                                        .statement_timeout = std::chrono::minutes(10)});
  return out;
}

PrivatePostgres Server() { return PrivatePostgres(TheseFolders(ThisEnvironment()).Postgres()); }

int Start(Context& context, const BackendOptions& options) {
  StopOnSignals signals;
  const auto database = OpenAny(options, signals.token());
  if (!database) return Explain(context, database.error());
  const auto applied = store::Migrator(*database->pool).Up(signals.token());
  if (!applied) return Explain(context, applied.error());
  context.out << fmt::format("database: running ({})\n", database->place.url.empty()
                                                             ? Server().Look().folder.string()
                                                             : database->place.source);
  return kExitOk;
}

int Stop(Context& context, const BackendOptions& options) {
  if (const Status backend = CheckBackend(options, kKubectl); !backend)
    return Explain(context, backend.error());
  const DatabasePlace place = PlaceOf(options, ThisEnvironment());
  if (!place.url.empty()) {
    return Explain(context,
                   Fail(ErrorCode::kInvalid,
                        fmt::format("the database is given by {}; only the private server is stopped here",
                                    place.source))
                       .value());
  }
  const auto stopped = Server().Stop({});
  if (!stopped) return Explain(context, stopped.error());
  context.out << (*stopped ? "database: stopped\n" : "database: was not running\n");
  return kExitOk;
}

int PrintMigrations(Context& context, store::Pool& pool) {
  const auto state = store::Migrator(pool).State({});
  if (!state) return Explain(context, state.error());
  Table table({"VERSION", "NAME", "APPLIED"});
  for (const store::MigrationState& migration : *state) {
    table.Add({std::to_string(migration.version), migration.name,
               migration.applied ? FormatRfc3339(*migration.applied) : "pending"});
  }
  table.Print(context.out);
  return kExitOk;
}

int Show(Context& context, const BackendOptions& options) {
  if (const Status backend = CheckBackend(options, kKubectl); !backend)
    return Explain(context, backend.error());
  const DatabasePlace place = PlaceOf(options, ThisEnvironment());
  if (place.url.empty()) {
    const PrivatePostgres::Info info = Server().Look();
    if (info.state != PrivatePostgres::State::kRunning) {
      context.out << fmt::format("database: {} ({})\n",
                                 info.state == PrivatePostgres::State::kAbsent ? "not made yet" : "stopped",
                                 info.folder.string());
      return kExitOk;
    }
    context.out << fmt::format("database: running, PostgreSQL {} ({})\n\n", info.version,
                               info.folder.string());
  } else {
    context.out << fmt::format("database: given by {}\n\n", place.source);
  }
  const auto database = OpenAny(options, {});
  return database ? PrintMigrations(context, *database->pool) : Explain(context, database.error());
}

int Report(Context& context, const Result<std::vector<store::MigrationState>>& moved, const char* what) {
  if (!moved) return Explain(context, moved.error());
  if (moved->empty()) context.out << "nothing to do\n";
  for (const auto& migration : *moved)
    context.out << fmt::format("{} {:04} {}\n", what, migration.version, migration.name);
  return kExitOk;
}

int Migrate(Context& context, const BackendOptions& options) {
  StopOnSignals signals;
  const auto database = OpenAny(options, signals.token());
  if (!database) return Explain(context, database.error());
  return Report(context, store::Migrator(*database->pool).Up(signals.token()), "applied");
}

int Rollback(Context& context, const BackendOptions& options, int64_t count) {
  StopOnSignals signals;
  const auto database = OpenAny(options, signals.token());
  if (!database) return Explain(context, database.error());
  if (database->place.url.empty()) {
    context.err
        << "note: the next command of this version of ybis applies them to the private server again\n";
  }
  return Report(context, store::Migrator(*database->pool).Down(count, signals.token()), "undone");
}

using Action = int (*)(Context&, const BackendOptions&);

struct KeepOptions {
  std::string folder;
  int64_t idle_ms = 0;
};

/// What a command starts beside the private server; descriptor 3 says that a keeper lives.
void AddKeep(Command verb, Context& context) {
  Command keep = verb.Add("keep", "Stop an idle private server (started by other commands)");
  keep.Hide();  // not for people
  auto options = std::make_shared<KeepOptions>();
  keep.Option("--folder", options->folder).Required();
  keep.Option("--idle-ms", options->idle_ms).Required().Between(1, std::numeric_limits<int>::max());
  keep.OnParsed([&context, options] {
    context.action = [options] {
      const auto idle = std::chrono::milliseconds(options->idle_ms);
      return KeepDatabase({options->folder, idle}, UniqueFd(3)) ? kExitOk : kExitFailed;
    };
  });
}

void AddSimple(Command verb, Context& context, const char* name, const char* help, Action action) {
  Command sub = verb.Add(name, help);
  auto options = std::make_shared<BackendOptions>();
  AddBackendOptions(sub, *options);
  sub.Footer(fmt::format("Example:\n  ybis db {}", name));
  sub.OnParsed([&context, options, action] {
    context.action = [&context, options, action] { return action(context, *options); };
  });
}

}  // namespace

void AddDb(Command app, Context& context) {
  Command verb = app.Add("db", "The local database: start, stop, status, migrate, rollback");
  verb.NeedsSubcommand();
  AddSimple(verb, context, "start", "Start the private server (other commands do it themselves)", Start);
  AddSimple(verb, context, "stop", "Stop the private server; nothing is lost", Stop);
  AddSimple(verb, context, "status", "Show where the database is and which migrations are applied", Show);
  AddSimple(verb, context, "migrate", "Apply what is pending", Migrate);
  AddKeep(verb, context);
  Command rollback = verb.Add("rollback", "Undo the newest migrations");
  auto options = std::make_shared<BackendOptions>();
  auto count = std::make_shared<int64_t>(1);
  rollback.Option("N", *count, "How many").Required().Between(1, 1000);
  AddBackendOptions(rollback, *options);
  rollback.Footer("Example:\n  ybis db rollback 1");
  rollback.OnParsed([&context, options, count] {
    context.action = [&context, options, count] { return Rollback(context, *options, *count); };
  });
}

}  // namespace ybis::cli
