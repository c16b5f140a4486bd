#pragma once
// pg_dump, pg_restore and psql: found among the installed versions, run as children that learn the password
// from their environment alone.
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/migrations.h"

namespace ybis::cli {

/// Told a few times a second what is going on and how many bytes are written so far.
using Progress = std::function<void(const std::string& what, int64_t bytes)>;

/// Where to connect, for the children.
using PgEnvironment = std::map<std::string, std::string>;

struct DumpRequest {
  PgEnvironment environment;
  std::string snapshot;  ///< of an open transaction
  std::vector<store::Relation> relations;
  std::filesystem::path file;
};

/// Programs of one version. Stateless after Find; thread-safe.
class PgTools {
 public:
  /// Those of the server's major version, else of the next newer one that is installed; `server_version` as
  /// server_version_num gives it. kUnsupported names what to install.
  static Result<PgTools> Find(int64_t server_version,
                              const std::filesystem::path& root = "/usr/lib/postgresql");

  Status Dump(const DumpRequest& request, const Progress& progress, std::stop_token stop) const;
  /// Tables of which the dump has data. kInvalid names the first entry that a backup of ours cannot have:
  /// another product's tables, functions, anything that would run.
  Result<std::set<std::string>> CheckDump(const std::filesystem::path& dump,
                                          const std::vector<store::Relation>& relations,
                                          std::stop_token stop) const;
  /// The dump as a script for psql.
  Status WriteScript(const std::filesystem::path& dump, const std::filesystem::path& script,
                     const Progress& progress, std::stop_token stop) const;
  /// Runs the scripts in one transaction: all of them happen or nothing does.
  Status RunScripts(const PgEnvironment& environment, const std::vector<std::filesystem::path>& scripts,
                    const Progress& progress, std::stop_token stop) const;

  const std::filesystem::path& folder() const { return folder_; }

 private:
  explicit PgTools(std::filesystem::path folder) : folder_(std::move(folder)) {}
  Result<std::string> Run(std::vector<std::string> arguments, const PgEnvironment& environment,
                          const std::function<void()>& tick, std::stop_token stop) const;
  std::filesystem::path folder_;
};

/// One line of `pg_restore --list`; pure. Empty kind: a comment.
struct DumpEntry {
  std::string kind;  ///< "TABLE DATA", "FK CONSTRAINT", …
  std::string name;  ///< the object's, of constraints that of their table
};
DumpEntry ParseDumpEntry(std::string_view line);

}  // namespace ybis::cli
