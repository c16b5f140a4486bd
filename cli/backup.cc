// ybis backup create, list, restore, cleanup.
#include <unistd.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/log.h"
#include "cli/local/backup/backup_check.h"
#include "cli/local/backup/create.h"
#include "cli/local/backup/restore.h"
#include "cli/local/session.h"
#include "cli/signals.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "store/migrations.h"

namespace ybis::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Steady = std::chrono::steady_clock;

constexpr const char* kKubectl =
    "kubectl -n ybis-system create job --from=cronjob/ybis-backup backup-now   (the chart's backup.enabled)";

struct Options {
  BackendOptions backend;
  std::string output = "table";
  std::string folder;  ///< empty: the data folder's own
  std::string path;
  std::vector<std::string> components;
  bool workspaces = false;
  bool secrets = false;
  bool force = false;
  bool yes = false;
  int64_t keep = 0;
};

std::string SizeText(int64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1000 && unit < 4; ++unit) value /= 1000;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

/// Says what goes on, from the second second on, every two.
Progress ProgressTo(std::ostream& err) {
  auto next = std::make_shared<Steady::time_point>(Steady::now() + std::chrono::seconds(2));
  return [&err, next](const std::string& what, int64_t bytes) {
    if (Steady::now() < *next) return;
    *next = Steady::now() + std::chrono::seconds(2);
    err << what << (bytes > 0 ? ": " + SizeText(bytes) : std::string(" ...")) << std::endl;
  };
}

/// Unlike a Session it takes a database of any schema: an older one can be saved, an empty one filled.
struct OpenSite {
  Folders folders;
  std::string url;
  UniqueFd hold;      ///< of the private server
  bool ours = false;  ///< the private server: brought up to date without a word, as every command does
  std::unique_ptr<store::Pool> pool;
};

Result<OpenSite> OpenSiteOf(const BackendOptions& options, std::stop_token stop) {
  YBIS_TRY(CheckBackend(options, kKubectl));
  const Environment environment = ThisEnvironment();
  OpenSite site{TheseFolders(environment), PlaceOf(options, environment).url, {}, false, nullptr};
  YBIS_TRY(PrepareData(site.folders));
  site.ours = site.url.empty();
  if (site.ours) {
    YBIS_ASSIGN(PrivatePostgres::Use use,
                PrivateServer(options, environment, site.folders).Ensure(std::move(stop)));
    site.url = std::move(use.url);
    site.hold = std::move(use.hold);
  }
  site.pool = std::make_unique<store::Pool>(store::PoolSettings{.url = site.url,
                                                                .size = 2,
                                                                .acquire_timeout = std::chrono::seconds(30),
                                                                .application_name = "ybis backup"});
  return site;
}

fs::path FolderOf(const Options& options) {
  if (!options.folder.empty()) return fs::absolute(options.folder);
  return TheseFolders(ThisEnvironment()).data / "backups";
}

std::string PartsText(const control::BackupManifest& manifest) {
  std::string out;
  for (const auto& part : manifest.parts) out += (out.empty() ? "" : ",") + part.component;
  return out;
}

json EntryJson(const BackupEntry& entry) {
  json out = {{"name", entry.id.name},
              {"path", entry.path.string()},
              {"created", FormatRfc3339(entry.id.created)},
              {"safety", entry.id.safety},
              {"problem", entry.problem}};
  if (!entry.manifest) return out;
  json parts = json::array();
  for (const auto& part : entry.manifest->parts)
    parts.push_back({{"name", part.component}, {"size", part.size}, {"digest", part.digest}});
  const auto& migrations = entry.manifest->migrations;
  out["size"] = entry.manifest->TotalBytes();
  out["productVersion"] = entry.manifest->product_version;
  out["schemaVersion"] = migrations.empty() ? 0 : migrations.back().version;
  out["secrets"] = entry.manifest->secrets;
  out["parts"] = parts;
  return out;
}

void PrintTable(Context& context, const std::vector<BackupEntry>& entries) {
  Table table({"NAME", "AGE", "SIZE", "SCHEMA", "PARTS", "KIND", "STATE"});
  for (const BackupEntry& entry : entries) {
    const auto* manifest = entry.manifest ? &*entry.manifest : nullptr;
    const bool schema = manifest != nullptr && !manifest->migrations.empty();
    table.Add({entry.id.name, AgeText(entry.id.created, SystemClock().Now()),
               manifest != nullptr ? SizeText(manifest->TotalBytes()) : "-",
               schema ? fmt::format("{:04}", manifest->migrations.back().version) : "-",
               manifest != nullptr ? PartsText(*manifest) : "-", entry.id.safety ? "safety" : "backup",
               entry.problem.empty() ? "ok" : OneLine(entry.problem, 80)});
  }
  table.Print(context.out);
}

void Print(Context& context, const std::vector<BackupEntry>& entries, const std::string& output, bool one) {
  if (output == "table") return PrintTable(context, entries);
  if (output == "name") {
    for (const BackupEntry& entry : entries) context.out << entry.id.name << "\n";
    return;
  }
  json list = json::array();
  for (const BackupEntry& entry : entries) list.push_back(EntryJson(entry));
  const json value = one && list.size() == 1 ? list[0] : list;
  context.out << (output == "json" ? DumpJsonPretty(value) : ToYaml(value));
}

/// What a clean-up removes, by name and without those that it keeps; those that are broken stay for people to
/// look at.
Result<std::vector<std::string>> CleanUp(const BackupFolder& folder, int64_t keep) {
  std::vector<control::BackupId> whole;
  for (const BackupEntry& entry : ListBackups(folder.path())) {
    if (entry.problem.empty()) whole.push_back(entry.id);
  }
  const auto names = control::BackupsToRemove(std::move(whole), keep, SystemClock().Now());
  for (const std::string& name : names) YBIS_TRY(folder.Remove(name));
  return names;
}

int Create(Context& context, const Options& options) {
  StopOnSignals signals;
  const auto site = OpenSiteOf(options.backend, signals.token());
  if (!site) return Explain(context, site.error());
  const BackupSite at{site->folders, site->url, *site->pool, ProgressTo(context.err)};
  if (const Status ended = EndBrokenRestore(at, signals.token(), OtherDatabase::kRefuse); !ended)
    return Explain(context, ended.error());
  if (site->ours) {
    const auto current = store::Migrator(*site->pool).Up(signals.token());
    if (!current) return Explain(context, current.error());
  }
  const auto folder = BackupFolder::Open(FolderOf(options));
  if (!folder) return Explain(context, folder.error());
  const CreateRequest request{.workspaces = options.workspaces, .secrets = options.secrets};
  const auto made = CreateBackup(at, *folder, request, signals.token());
  if (!made) return Explain(context, made.error());
  for (const std::string& path : made->skipped)
    context.err << fmt::format("note: {} is a link or no file; it stayed out\n", OneLine(path, 200));
  const control::BackupId id{made->manifest.name, made->manifest.created, false};
  Print(context, {{id, made->path, made->manifest, {}}}, options.output, true);
  if (options.output == "table") context.err << fmt::format("written to {}\n", made->path.string());
  if (options.keep == 0) return kExitOk;
  const auto removed = CleanUp(*folder, options.keep);
  if (!removed) return Explain(context, removed.error());
  for (const std::string& name : *removed) context.err << fmt::format("removed {}\n", name);
  return kExitOk;
}

int List(Context& context, const Options& options) {
  if (const Status backend = CheckBackend(options.backend, kKubectl); !backend)
    return Explain(context, backend.error());
  Print(context, ListBackups(FolderOf(options)), options.output, false);
  return kExitOk;
}

int Clean(Context& context, const Options& options) {
  if (const Status backend = CheckBackend(options.backend, kKubectl); !backend)
    return Explain(context, backend.error());
  std::error_code ignored;
  if (!fs::is_directory(FolderOf(options), ignored)) {
    return Explain(
        context,
        Fail(ErrorCode::kNotFound, fmt::format("there is no folder {}", FolderOf(options).string())).value());
  }
  const auto folder = BackupFolder::Open(FolderOf(options));
  if (!folder) return Explain(context, folder.error());
  const auto removed = CleanUp(*folder, options.keep);
  if (!removed) return Explain(context, removed.error());
  if (options.output == "json" || options.output == "yaml") {
    const json value = {{"removed", *removed}};
    context.out << (options.output == "json" ? DumpJsonPretty(value) : ToYaml(value));
    return kExitOk;
  }
  for (const std::string& name : *removed)
    context.out << (options.output == "table" ? "removed " : "") << name << "\n";
  if (removed->empty() && options.output == "table") context.out << "nothing to remove\n";
  return kExitOk;
}

/// A path, or the name of a backup in the folder.
fs::path PathOf(const Options& options) {
  std::error_code ignored;
  if (options.path.find('/') == std::string::npos && !fs::exists(options.path, ignored))
    return FolderOf(options) / options.path;
  fs::path path = fs::absolute(options.path).lexically_normal();
  return path.filename().empty() ? path.parent_path() : path;
}

/// Says what the backup holds and asks; an error when nobody can be asked.
Result<bool> Agreed(Context& context, const Options& options, const control::BackupManifest& manifest) {
  if (options.yes) return true;
  if (::isatty(STDIN_FILENO) != 1)
    return Fail(ErrorCode::kInvalid, "a restore replaces what is there; --yes says that it may");
  context.err << fmt::format(
      "{} of {} holds {} ({}).\nIt will replace {} here. A safety backup is made first. Go on? [y/N] ",
      manifest.name, FormatRfc3339(manifest.created), PartsText(manifest), SizeText(manifest.TotalBytes()),
      options.components.empty() ? "all of that" : fmt::format("{}", fmt::join(options.components, ", ")));
  std::string answer;
  std::getline(std::cin, answer);
  const bool agreed = answer == "y" || answer == "Y" || answer == "yes";
  if (!agreed) context.err << "nothing was changed\n";
  return agreed;
}

void PrintReport(Context& context, const RestoreReport& report, const std::string& output) {
  if (output == "json" || output == "yaml") {
    const json value = {{"backup", report.backup},
                        {"components", report.components},
                        {"safetyBackup", report.safety.string()},
                        {"migrated", report.migrated}};
    context.out << (output == "json" ? DumpJsonPretty(value) : ToYaml(value));
    return;
  }
  if (output == "name") {
    context.out << report.backup << "\n";
    return;
  }
  context.out << fmt::format("restored {} from {}\n", fmt::join(report.components, ", "), report.backup);
  for (const std::string& name : report.migrated) context.out << fmt::format("applied {}\n", name);
  if (!report.safety.empty())
    context.out << fmt::format("what was there before: {}\n", report.safety.string());
}

int Restore(Context& context, const Options& options) {
  if (const Status backend = CheckBackend(options.backend, kKubectl); !backend)
    return Explain(context, backend.error());
  StopOnSignals signals;
  // Before anybody is asked: a mistyped name needs no answer.
  const auto checked = CheckBackup(PathOf(options), ProgressTo(context.err), signals.token());
  if (!checked) return Explain(context, checked.error());
  const auto agreed = Agreed(context, options, checked->manifest);
  if (!agreed) return Explain(context, agreed.error());
  if (!*agreed) return kExitFailed;
  const auto site = OpenSiteOf(options.backend, signals.token());
  if (!site) return Explain(context, site.error());
  const BackupSite at{site->folders, site->url, *site->pool, ProgressTo(context.err)};
  const auto folder = BackupFolder::Open(at.Backups());
  if (!folder) return Explain(context, folder.error());
  const auto recovered = RecoverRestore(at, signals.token());
  if (!recovered) return Explain(context, recovered.error());
  if (*recovered)
    context.err << fmt::format("note: the restore of {} that was broken off is now done\n", **recovered);
  const auto report =
      RestoreBackup(at, *folder, {PathOf(options), options.components, options.force}, signals.token());
  if (!report) return Explain(context, report.error());
  PrintReport(context, *report, options.output);
  return kExitOk;
}

using Action = int (*)(Context&, const Options&);

Command AddSub(Command verb, Context& context, const char* name, const char* help, Action action,
               std::shared_ptr<Options>& options) {
  Command sub = verb.Add(name, help);
  options = std::make_shared<Options>();
  sub.Option("-o,--output", options->output, "table, json, yaml or name")
      .OneOf({"table", "json", "yaml", "name"});
  AddBackendOptions(sub, options->backend);
  sub.OnParsed([&context, options, action] {
    context.action = [&context, options, action] { return action(context, *options); };
  });
  return sub;
}

}  // namespace

void AddBackup(Command app, Context& context) {
  Command verb = app.Add("backup", "Make, list, restore and clean up backups");
  verb.NeedsSubcommand();
  std::shared_ptr<Options> options;
  Command create = AddSub(verb, context, "create", "Back up the database and the settings, while workers run",
                          Create, options);
  create.Switch("--include-workspaces", options->workspaces,
                "The runs' artifacts and logs, too (no checkouts)");
  create.Switch("--include-secrets", options->secrets,
                "The secrets folder, too: keep the backup as safe as that");
  create.Option("--to", options->folder, "Folder to make it in; default: backups in the data folder");
  create.Option("--keep", options->keep, "Afterwards clean up as `ybis backup cleanup --keep` does")
      .Between(1, 100000);
  create.Footer(
      "Examples:\n  ybis backup create\n  ybis backup create --include-workspaces --to /mnt/backups --keep "
      "7");
  Command list = AddSub(verb, context, "list", "List the backups, newest first", List, options);
  list.Option("--dir", options->folder, "Folder to look in; default: backups in the data folder");
  list.Footer("Examples:\n  ybis backup list\n  ybis backup list --dir /mnt/backups -o json");
  Command restore = AddSub(verb, context, "restore",
                           "Check a backup and put it in the place of what is there", Restore, options);
  restore.Option("PATH", options->path, "The backup's folder, or the name that `ybis backup list` shows")
      .Required();
  restore
      .Option("--component", options->components,
              "Only this: database, configs, workspaces or index; may be repeated")
      .OneOf({"database", "configs", "workspaces", "index"});
  restore.Switch("--force", options->force, "Even while runs are under way; their runners are fenced off");
  restore.Switch("-y,--yes", options->yes, "Do not ask");
  restore.Footer(
      "Examples:\n  ybis backup restore ybis-20260131T120000Z-1f2e3d\n  ybis backup restore "
      "/mnt/backups/ybis-20260131T120000Z-1f2e3d --component database --yes");
  Command cleanup = AddSub(verb, context, "cleanup", "Remove all but the newest backups", Clean, options);
  cleanup.Option("--keep", options->keep, "How many stay; safety backups younger than a day stay besides")
      .Required()
      .Between(1, 100000);
  cleanup.Option("--dir", options->folder, "Folder to clean up; default: backups in the data folder");
  cleanup.Footer("Example:\n  ybis backup cleanup --keep 7");
}

}  // namespace ybis::cli
