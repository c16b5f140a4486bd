#pragma once
// A Postgres of the user's own, from the installed programs: a Unix socket and a password, no port.
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>

#include "base/result.h"

namespace ybis::cli {

/// Lives below one folder, which it makes. Stays up between commands; several processes may call any of this
/// at once. Started by root it runs as the user postgres (else nobody), who owns its data. A server that was
/// killed recovers at the next Ensure.
class PrivatePostgres {
 public:
  explicit PrivatePostgres(std::filesystem::path folder) : folder_(std::move(folder)) {}

  enum class State { kAbsent, kStopped, kRunning };
  struct Info {
    State state = State::kAbsent;
    std::string version;  ///< of the data, e.g. "15"
    std::filesystem::path folder;
  };

  /// Makes it, starts it, or finds it running; returns its connection string. Errors say what is missing: no
  /// Postgres is installed, the folder cannot be entered by its user, its log's last lines.
  Result<std::string> Ensure(std::stop_token stop);
  /// Ends its sessions and stops it; false when it was not running.
  Result<bool> Stop(std::stop_token stop);
  Info Look() const;

 private:
  struct Owner;
  struct Programs;
  Result<std::string> ConnectionString() const;
  bool Answers() const;
  Status Make(const Owner& owner, const Programs& programs, std::stop_token stop) const;
  Status Start(const Owner& owner, const Programs& programs, std::stop_token stop) const;
  Status CheckFolder(const Owner& owner) const;
  Status WriteSettings(const std::filesystem::path& data, const Owner& owner) const;
  std::filesystem::path Data() const { return folder_ / "data"; }
  std::filesystem::path Sockets() const { return folder_ / "socket"; }
  std::filesystem::path Log() const { return folder_ / "log" / "postgres.log"; }

  std::filesystem::path folder_;
};

}  // namespace ybis::cli
