#pragma once
// A real Postgres server of a test's own: private data folder, Unix socket only, gone with the object.
#include <sys/types.h>

#include <filesystem>
#include <string>

#include "tests/support/temp_dir.h"

namespace ybis::testing {

struct PostgresOptions {
  bool fsync = true;
  int max_connections = 100;
  std::string extra;  ///< lines for postgresql.conf
};

/// Starts on construction and throws std::runtime_error with the server's log when it cannot. As root it runs
/// as the user postgres or nobody, since the server refuses root.
class Postgres {
 public:
  explicit Postgres(PostgresOptions options = {});
  ~Postgres();
  Postgres(const Postgres&) = delete;
  Postgres& operator=(const Postgres&) = delete;

  /// Connection URL of database "ybis".
  std::string Url() const;
  /// Makes an empty database and returns its URL; cheap, one a test.
  std::string NewDatabase();
  void Start();
  /// Fast shutdown (sessions are ended), waits.
  void Stop();
  void Restart();
  /// SIGKILL to the whole server, as a crash; Start() recovers it.
  void KillHard();
  std::filesystem::path bin_dir() const { return bin_; }
  std::filesystem::path socket_dir() const;

 private:
  TempDir dir_;
  std::filesystem::path bin_;
  uid_t uid_ = 0;
  gid_t gid_ = 0;
  pid_t pid_ = -1;
  int databases_ = 0;
};

}  // namespace ybis::testing
