#include "cli/local/backup/pg_tools.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <sstream>

#include "base/log.h"
#include "base/process.h"

namespace ybis::cli {
namespace {

namespace fs = std::filesystem;

/// What an entry of a dump may be. Functions, extensions and the like would run with the database's rights;
/// none of our migrations makes any. Triggers are those of what is append-only, and call no function of ours.
constexpr std::string_view kKinds[] = {"TABLE DATA",       "TABLE",      "SEQUENCE OWNED BY",
                                       "SEQUENCE SET",     "SEQUENCE",   "FK CONSTRAINT",
                                       "CHECK CONSTRAINT", "CONSTRAINT", "INDEX",
                                       "DEFAULT",          "TRIGGER"};

constexpr std::string_view kAppendOnly[] = {"events", "approvals", "_journal"};

constexpr const char* kPrograms[] = {"pg_dump", "pg_restore", "psql"};

int MajorOf(const std::string& text) {
  int version = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), version);
  return problem == std::errc() && end == text.data() + text.size() ? version : 0;
}

int64_t SizeOf(const fs::path& file) {
  std::error_code error;
  const auto size = fs::file_size(file, error);
  return error ? 0 : static_cast<int64_t>(size);
}

/// The line that says what went wrong, without the script's name.
std::string Reason(const std::string& text) {
  std::istringstream lines(text);
  std::string line, last;
  while (std::getline(lines, line)) {
    const size_t at = line.find("ERROR:");
    if (at != std::string::npos)
      return line.substr(at + 6 + (line.size() > at + 6 && line[at + 6] == ' ' ? 1 : 0));
    if (!line.empty()) last = line;
  }
  return last.substr(0, 600);
}

bool BelongsToUs(const DumpEntry& entry, const std::vector<store::Relation>& relations) {
  if (entry.kind == "TRIGGER") {
    return std::find(std::begin(kAppendOnly), std::end(kAppendOnly), entry.name) != std::end(kAppendOnly);
  }
  return std::any_of(relations.begin(), relations.end(), [&](const store::Relation& relation) {
    if (entry.name == relation.name) return true;
    // Indexes and the sequences of identity columns carry their table's name before their own.
    return (entry.kind == "INDEX" || entry.kind.starts_with("SEQUENCE")) &&
           entry.name.starts_with(relation.name + "_");
  });
}

}  // namespace

DumpEntry ParseDumpEntry(std::string_view line) {
  if (line.empty() || line.front() == ';') return {};
  size_t at = line.find(';');
  for (int word = 0; word < 2 && at != std::string_view::npos; ++word)
    at = line.find(' ', at + 1);  // two numbers
  if (at == std::string_view::npos || at + 1 >= line.size()) return {"unreadable", std::string(line)};
  at = line.find(' ', at + 1);
  if (at == std::string_view::npos) return {"unreadable", std::string(line)};
  const std::string_view rest = line.substr(at + 1);
  for (const std::string_view kind : kKinds) {
    if (!rest.starts_with(kind) || rest.substr(kind.size()).substr(0, 1) != " ") continue;
    const std::string_view after = rest.substr(kind.size() + 1);  // schema name owner
    const size_t space = after.find(' ');
    const std::string_view name = space == std::string_view::npos ? "" : after.substr(space + 1);
    return {std::string(kind), std::string(name.substr(0, name.find(' ')))};
  }
  return {std::string(rest.substr(0, rest.find(' '))), std::string(rest)};
}

Result<PgTools> PgTools::Find(int64_t server_version, const fs::path& root) {
  const int wanted = static_cast<int>(server_version / 10'000);
  int best = 0;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(root, ignored)) {
    const int version = MajorOf(entry.path().filename());
    const bool complete = std::all_of(std::begin(kPrograms), std::end(kPrograms), [&](const char* name) {
      return fs::exists(entry.path() / "bin" / name, ignored);
    });
    if (version >= wanted && complete && (best == 0 || version < best)) best = version;
  }
  if (best != 0) return PgTools(root / std::to_string(best) / "bin");
  return Fail(
      ErrorCode::kUnsupported,
      fmt::format("the server is PostgreSQL {0}, and no pg_dump of that version or a newer one is under {1}: "
                  "apt-get install postgresql-client-{0}",
                  wanted, root.string()));
}

Result<std::string> PgTools::Run(std::vector<std::string> arguments, const PgEnvironment& environment,
                                 const std::function<void()>& tick, std::stop_token stop) const {
  ProcessSpec spec;
  const std::string program = arguments.front();
  arguments.front() = folder_ / program;
  spec.argv = std::move(arguments);
  spec.env = environment;
  spec.env.insert(
      {{"PATH", "/usr/bin:/bin"}, {"LC_ALL", "C.UTF-8"}, {"TZ", "UTC"}, {"PGCONNECT_TIMEOUT", "15"}});
  spec.env["PGAPPNAME"] = "ybis backup";
  spec.env["PGCLIENTENCODING"] = "UTF8";
  spec.directory = "/";
  spec.timeout = std::chrono::hours(24);
  spec.max_output = 4 * 1024 * 1024;
  spec.contain = true;
  spec.before_exec = [] {
    ::umask(077);
    return 0;
  };
  spec.inspect = [&](int) {
    tick();
    return std::string();
  };
  YBIS_ASSIGN(ProcessResult result, RunProcess(spec, std::move(stop)));
  if (result.exit_code == 0 && !result.truncated) return std::move(result.output);
  return Fail(ErrorCode::kInternal, log::Redact(fmt::format("{}: {}", program, Reason(result.error_output))));
}

Status PgTools::Dump(const DumpRequest& request, const Progress& progress, std::stop_token stop) const {
  std::vector<std::string> arguments = {"pg_dump",
                                        "--format=custom",
                                        "--no-owner",
                                        "--no-privileges",
                                        "--no-password",
                                        "--snapshot=" + request.snapshot,
                                        "--file=" + request.file.string()};
  for (const store::Relation& relation : request.relations) arguments.push_back("--table=" + relation.name);
  YBIS_TRY(Run(
      std::move(arguments), request.environment, [&] { progress("database", SizeOf(request.file)); },
      std::move(stop)));
  return {};
}

Result<std::set<std::string>> PgTools::CheckDump(const fs::path& dump,
                                                 const std::vector<store::Relation>& relations,
                                                 std::stop_token stop) const {
  const auto refuse = [](const std::string& why) { return Fail(ErrorCode::kInvalid, "database: " + why); };
  const auto listed = Run(
      {"pg_restore", "--list", dump}, {}, [] {}, std::move(stop));
  if (!listed) return refuse("is no dump that can be read: " + listed.error().message);
  std::set<std::string> tables;
  std::istringstream lines(*listed);
  for (std::string line; std::getline(lines, line);) {
    const DumpEntry entry = ParseDumpEntry(line);
    if (entry.kind.empty()) continue;
    const bool known = std::find(std::begin(kKinds), std::end(kKinds), entry.kind) != std::end(kKinds);
    if (!known || !BelongsToUs(entry, relations))
      return refuse(fmt::format("holds {} {}, which is none of ybis' own", entry.kind, entry.name));
    if (entry.kind == "TABLE DATA") tables.insert(entry.name);
  }
  if (tables.count("_migrations") == 0)
    return refuse("holds no table _migrations: this is no backup of ybis");
  return tables;
}

Status PgTools::WriteScript(const fs::path& dump, const fs::path& script, const Progress& progress,
                            std::stop_token stop) const {
  YBIS_TRY(Run(
      {"pg_restore", "--no-owner", "--no-privileges", "--file=" + script.string(), dump}, {},
      [&] { progress("unpacking the database", SizeOf(script)); }, std::move(stop)));
  return {};
}

Status PgTools::RunScripts(const PgEnvironment& environment, const std::vector<fs::path>& scripts,
                           const Progress& progress, std::stop_token stop) const {
  std::vector<std::string> arguments = {"psql",
                                        "--no-psqlrc",
                                        "--quiet",
                                        "--no-password",
                                        "-v",
                                        "ON_ERROR_STOP=1",
                                        "--single-transaction",
                                        "--output=/dev/null"};
  for (const fs::path& script : scripts) arguments.push_back("--file=" + script.string());
  YBIS_TRY(Run(
      std::move(arguments), environment, [&] { progress("loading the database", 0); }, std::move(stop)));
  return {};
}

}  // namespace ybis::cli
