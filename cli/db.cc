// ybis db start, stop, status, migrate, rollback.
#include <unistd.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "cli/local/backup/create.h"
#include "cli/local/backup/restore.h"
#include "cli/local/postgres_keeper.h"
#include "cli/local/session.h"
#include "cli/output.h"
#include "cli/signals.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "store/migrations.h"
#include "store/system_journal.h"

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

struct StatusOptions {
  BackendOptions backend;
  std::string output = "table";
};

/// Where the database is and how it stands; `heading` says it to people.
struct Standing {
  nlohmann::json value;
  std::string heading;
  bool reachable = false;
};

Standing StandingOf(const DatabasePlace& place) {
  if (!place.url.empty())
    return {{{"state", "given"}, {"source", place.source}},
            fmt::format("database: given by {}\n", place.source),
            true};
  const PrivatePostgres::Info info = Server().Look();
  const std::string folder = info.folder.string();
  if (info.state == PrivatePostgres::State::kRunning) {
    return {{{"state", "running"}, {"folder", folder}, {"serverVersion", info.version}},
            fmt::format("database: running, PostgreSQL {} ({})\n", info.version, folder),
            true};
  }
  const std::string state = info.state == PrivatePostgres::State::kAbsent ? "not made yet" : "stopped";
  return {{{"state", state}, {"folder", folder}}, fmt::format("database: {} ({})\n", state, folder), false};
}

constexpr int64_t kNewestEvents = 100;

/// What happened to the database as a whole, oldest first.
Result<std::vector<store::SystemEvent>> EventsOf(store::Pool& pool) {
  return pool.Transact([](store::Transaction& tx) { return store::SystemJournal(tx).Newest(kNewestEvents); },
                       std::stop_token{}, store::InDoubt::kRepeat);
}

int Show(Context& context, const StatusOptions& options) {
  if (const Status backend = CheckBackend(options.backend, kKubectl); !backend)
    return Explain(context, backend.error());
  Standing standing = StandingOf(PlaceOf(options.backend, ThisEnvironment()));
  std::vector<std::string> names;
  Table table({"VERSION", "NAME", "APPLIED"}), journal({"TIME", "EVENT", "WHAT"});
  const bool wide = options.output == "wide";
  if (standing.reachable) {
    if (wide || options.output == "table") context.out << standing.heading << "\n";
    const auto database = OpenAny(options.backend, {});
    if (!database) return Explain(context, database.error());
    const auto state = store::Migrator(*database->pool).State({});
    if (!state) return Explain(context, state.error());
    for (const store::MigrationState& migration : *state) {
      const std::string applied = migration.applied ? FormatRfc3339(*migration.applied) : "pending";
      table.Add({std::to_string(migration.version), migration.name, applied});
      names.push_back(store::MigrationLabel(migration.version, migration.name));
      standing.value["migrations"].push_back(
          {{"version", migration.version}, {"name", migration.name}, {"applied", applied}});
    }
    const auto events = EventsOf(*database->pool);
    if (!events) return Explain(context, events.error());
    for (const store::SystemEvent& event : *events) {
      journal.Add({FormatRfc3339(event.at), event.type, OneLine(event.message, 200)});
      standing.value["journal"].push_back(
          {{"time", FormatRfc3339(event.at)}, {"type", event.type}, {"message", event.message}});
    }
  }
  if (PrintAs(context.out, options.output, standing.value, names)) return kExitOk;
  if (!standing.reachable) {
    context.out << standing.heading;
    return kExitOk;
  }
  table.Print(context.out);
  if (wide) journal.Print(context.out << "\n");
  return kExitOk;
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

struct RollbackOptions {
  BackendOptions backend;
  int64_t count = 1;
  bool force = false;
  bool yes = false;
};

/// kExitOk when it may be done.
int AskForRollback(Context& context, const RollbackOptions& options) {
  if (options.yes) return kExitOk;
  if (::isatty(STDIN_FILENO) != 1) {
    context.err << "error: a rollback drops what the undone migrations hold; --yes says that it may\n";
    return kExitUsage;
  }
  context.err << fmt::format(
      "This undoes the newest {} and drops what came with it, and all that it holds. A safety backup is made "
      "first. Go on? [y/N] ",
      options.count == 1 ? "migration" : fmt::format("{} migrations", options.count));
  std::string answer;
  std::getline(std::cin, answer);
  if (answer == "y" || answer == "Y" || answer == "yes") return kExitOk;
  context.err << "nothing was changed\n";
  return kExitFailed;
}

Status RefuseUnder(const std::optional<std::string>& live) {
  if (!live) return {};
  return Fail(ErrorCode::kConflict,
              fmt::format("runs are under way ({}): stop the workers (`ybis worker status` shows them), or "
                          "roll back with --force; nothing was changed",
                          *live));
}

/// A run may have been taken up while the backup was made.
Status CheckLeases(store::Transaction& tx) {
  YBIS_ASSIGN(const auto live, LockAndFindLease(tx));
  return RefuseUnder(live);
}

/// A backup of the database as it is; an empty path when it was never migrated. Refused while runs are under
/// way: they could write no more.
Result<std::filesystem::path> SaveBeforeRollback(const OpenDatabase& database, bool force,
                                                 std::stop_token stop) {
  const BackupSite site{TheseFolders(ThisEnvironment()), database.url, *database.pool, NoProgress};
  YBIS_TRY(PrepareData(site.folders));
  YBIS_TRY(EndBrokenRestore(site, stop));
  if (!force) {
    YBIS_ASSIGN(const auto live, LiveLease(site.pool, stop));
    YBIS_TRY(RefuseUnder(live));
  }
  YBIS_ASSIGN(const auto folder, BackupFolder::Open(site.Backups()));
  const CreateRequest request{.configs = false, .index = false, .safety = true};
  auto made = CreateBackup(site, folder, request, std::move(stop));
  if (made) return std::move(made->path);
  if (made.error().code == ErrorCode::kNotFound) return std::filesystem::path();
  return FailIn("no safety backup could be made, so nothing was changed", std::move(made).error());
}

int Rollback(Context& context, const RollbackOptions& options) {
  if (const Status backend = CheckBackend(options.backend, kKubectl); !backend)
    return Explain(context, backend.error());
  if (const int answer = AskForRollback(context, options); answer != kExitOk) return answer;
  StopOnSignals signals;
  const auto database = OpenAny(options.backend, signals.token());
  if (!database) return Explain(context, database.error());
  const auto saved = SaveBeforeRollback(*database, options.force, signals.token());
  if (!saved) return Explain(context, saved.error());
  if (!saved->empty()) context.err << fmt::format("what was there before: {}\n", saved->string());
  if (database->place.url.empty()) {
    context.err
        << "note: the next command of this version of ybis applies them to the private server again\n";
  }
  const store::Migrator::MayUndo check = options.force ? nullptr : CheckLeases;
  return Report(context, store::Migrator(*database->pool).Down(options.count, signals.token(), check),
                "undone");
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

void AddRollback(Command verb, Context& context) {
  Command rollback =
      verb.Add("rollback", "Undo the newest migrations, and drop what they hold; after a safety backup");
  auto options = std::make_shared<RollbackOptions>();
  rollback.Option("N", options->count, "How many").Required().Between(1, 1000);
  rollback.Switch("--force", options->force, "Even while runs are under way");
  rollback.Switch("-y,--yes", options->yes, "Do not ask");
  AddBackendOptions(rollback, options->backend);
  rollback.Footer("Examples:\n  ybis db rollback 1\n  ybis db rollback 1 --yes");
  rollback.OnParsed(
      [&context, options] { context.action = [&context, options] { return Rollback(context, *options); }; });
}

void AddStatus(Command verb, Context& context) {
  Command sub = verb.Add("status", "Show where the database is and which migrations are applied");
  auto options = std::make_shared<StatusOptions>();
  AddOutput(sub, options->output);
  AddBackendOptions(sub, options->backend);
  sub.Footer(
      "Examples:\n  ybis db status\n  ybis db status -o wide   (and its journal: migrations, backups, "
      "restores)");
  sub.OnParsed(
      [&context, options] { context.action = [&context, options] { return Show(context, *options); }; });
}

}  // namespace

void AddDb(Command app, Context& context) {
  Command verb = app.Add("db", "The local database: start, stop, status, migrate, rollback");
  verb.NeedsSubcommand();
  AddSimple(verb, context, "start", "Start the private server (other commands do it themselves)", Start);
  AddSimple(verb, context, "stop", "Stop the private server; nothing is lost", Stop);
  AddStatus(verb, context);
  AddSimple(verb, context, "migrate", "Apply what is pending", Migrate);
  AddKeep(verb, context);
  AddRollback(verb, context);
}

}  // namespace ybis::cli
