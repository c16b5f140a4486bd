#pragma once
// A site to back up and restore: folders of the test's own and a database of a real server.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "cli/local/backup/create.h"
#include "cli/local/backup/restore.h"
#include "control/run_ledger.h"
#include "control/task_queue.h"
#include "tests/support/postgres.h"
#include "tests/support/temp_dir.h"

namespace ybis::testing {

/// One server for the program.
Postgres& BackupServer();

struct Site {
  /// Over a new database, migrated unless told otherwise.
  explicit Site(bool migrated = true);

  cli::BackupSite At() const { return {folders, url, *pool, cli::NoProgress}; }
  /// A backup of everything; fails the test when that does not work.
  std::filesystem::path Create(const cli::CreateRequest& request = {});
  Result<cli::RestoreReport> Restore(const std::filesystem::path& path,
                                     std::vector<std::string> components = {}, bool force = false);
  /// Submits a run and claims it; with `finish` it completes, else its lease lives.
  std::string AddRun(const std::string& name, bool finish);
  /// Table name to a digest of its rows; the system journal left out.
  std::map<std::string, std::string> Digests();
  int64_t Count(const std::string& sql);

  TempDir dir;
  cli::Folders folders;
  std::string url;
  std::unique_ptr<store::Pool> pool;
};

}  // namespace ybis::testing
