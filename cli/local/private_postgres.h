#pragma once
// A Postgres of the user's own, from the installed programs: a Unix socket and a password, no port.
#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace ybis::cli {

/// Lives below one folder, which it makes. Stays up between commands; several processes may call any of this
/// at once. Started by root it runs as the user postgres (else nobody), who owns its data. A server that was
/// killed recovers at the next Ensure. A keeper (postgres_keeper.h) stops it when nobody has used it for a
/// while.
class PrivatePostgres {
 public:
  /// `idle` is asked when a keeper is started: how long without a user before it stops the server, 0 = never.
  /// Without it none is started.
  using IdleTime = std::function<std::chrono::milliseconds()>;
  explicit PrivatePostgres(std::filesystem::path folder, IdleTime idle = {})
      : folder_(std::move(folder)), idle_(std::move(idle)) {}

  enum class State { kAbsent, kStopped, kRunning };
  struct Info {
    State state = State::kAbsent;
    std::string version;  ///< of the data, e.g. "15"
    std::filesystem::path folder;
  };

  /// A server in use. It is not stopped for idleness while `hold` is open.
  struct Use {
    std::string url;  ///< connection string
    UniqueFd hold;
  };

  /// Makes it, starts it, or finds it running. Errors say what is missing: no
  /// Postgres is installed, the folder cannot be entered by its user, its log's last lines.
  Result<Use> Ensure(std::stop_token stop) const;
  /// Starts it again when it was killed; one that was stopped in good order stays so. For who is at work with
  /// it.
  Status Revive(std::stop_token stop) const;
  /// Ends its sessions and stops it; false when it was not running.
  Result<bool> Stop(std::stop_token stop);
  Info Look() const;

 private:
  struct Owner;
  struct Programs;
  static Result<Owner> OwnerHere();
  Result<std::string> ConnectionString() const;
  bool Answers() const;
  Status StartLocked(const Owner& owner, std::stop_token stop) const;
  Status Make(const Owner& owner, const Programs& programs, std::stop_token stop) const;
  Status Start(const Owner& owner, const Programs& programs, std::stop_token stop) const;
  Status CheckFolder(const Owner& owner) const;
  Status WriteSettings(const std::filesystem::path& data, const Owner& owner) const;
  std::filesystem::path Data() const { return folder_ / "data"; }
  std::filesystem::path Sockets() const { return folder_ / "socket"; }
  std::filesystem::path Log() const { return folder_ / "log" / "postgres.log"; }

  std::filesystem::path folder_;
  IdleTime idle_;
};

}  // namespace ybis::cli
